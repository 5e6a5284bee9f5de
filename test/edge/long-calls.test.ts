// Goal: while a host reads a long call, everybody else has their turn, many times.
// Method: the routes of calls are given bodies that have arrived as a whole; turns of the loop are counted until
// the call comes out, beside a short one.
import { describe, expect, test } from 'vitest';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { pieceUnits } from '../../src/codec/reading.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { HttpAnswer, HttpRequest } from '../../src/drivers/http/http.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { rpcRoutes } from '../../src/edge/rpc.ts';
import type { Value } from '../../src/std/value.ts';

interface Came {
  readonly params: readonly Value[];
  readonly turns: number;
}

/** What comes out of a body, and how often others had their turn until then. */
const sent = async (path: string, text: string): Promise<Came> => {
  let turns = 0;
  let isDone = false;
  const turn = (): void => {
    turns += 1;
    if (!isDone) setImmediate(turn);
  };
  let params: readonly Value[] = [];
  const routes = rpcRoutes({
    clock: nodeClock,
    bodies: { hold: (_, use) => use(Buffer.from(text)) },
    dispatch: async (_, given) => {
      params = given;
      return { kind: 'failure', code: 'NOT_IMPLEMENTED', params: [] };
    },
  });
  const answers: string[] = [];
  const answer = {
    begun: () => false,
    send: (_: number, __: unknown, parts: readonly string[]) => void answers.push(parts.join('')),
  } as unknown as HttpAnswer;
  const route = routes.find((one) => one.path === path && one.method === 'POST');
  setImmediate(turn);
  await route?.handle({ headers: {} } as HttpRequest, answer, undefined as never);
  isDone = true;
  expect(answers).toHaveLength(1);
  return { params, turns };
};

describe('While a long call is read', () => {
  const ways = [
    ['/', (param: Value) => xmlCall('m', [param])],
    ['/jsonrpc', (param: Value) => jsonCall('m', [param], 1n)],
  ] as const;
  const long = 2_000_000;
  const params: readonly (readonly [string, Value])[] = [
    ['characters that are written as they are', 'x'.repeat(long)],
    ['characters that are written by name or escape', '<&>"\\'.repeat(long / 5)],
    ['line ends', '\r\n'.repeat(long / 2)],
    ['values', Array<Value>(90_000).fill('x')],
  ];

  for (const [path, call] of ways) {
    test.each(params)(`of ${path} with many %s others have their turn after each piece`, async (_, param) => {
      const text = call(param);
      const { params: came, turns } = await sent(path, text);
      expect(came.length).toBe(1);
      expect(turns).toBeGreaterThanOrEqual(text.length / pieceUnits);
      const short = await sent(path, call('x'));
      expect(short.params).toEqual(['x']);
      expect(short.turns).toBeLessThan(3);
    });
  }

  test('another long one waits, and what is no call does not stop the next', async () => {
    const all = await Promise.all([
      sent('/', `<methodCall>${' '.repeat(long)}<what/>`),
      sent('/', xmlCall('m', ['x'.repeat(long)])),
    ]);
    expect(all.map(({ params }) => params.length)).toEqual([0, 1]);
  });
});

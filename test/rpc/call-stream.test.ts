// Goal: calls over one stream are answered each by itself, and whoever waits is told when that is over.
// Method: both ends in this process, over streams that bring their bytes in pieces of any size.
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import type { Network } from '../../src/drivers/network.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeTurns } from '../../src/drivers/node/turns.ts';
import { type CallStream, callStream, callsOpenMax, serveCallStream } from '../../src/rpc/call-stream.ts';
import { xmlRpcStream } from '../../src/rpc/rpc.ts';

const nextTurn = nodeTurns.next;
const textBytesMax = 1_000;
const patient = { timeoutMs: 60_000 };

/** Two ends; what is written at one comes out of the other, so many bytes at a time. */
const pair = (pieceBytes: number): readonly [Duplex, Duplex] => {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read: () => {},
      write: (bytes: Buffer, _encoding, done) => {
        for (let at = 0; at < bytes.length; at += pieceBytes)
          ends[other]?.push(bytes.subarray(at, at + pieceBytes));
        done();
      },
      destroy: (error, done) => {
        ends[other]?.push(null);
        done(error);
      },
    });
  ends.push(end(1), end(0));
  return ends as [Duplex, Duplex];
};

type Answer = (text: string, signal: AbortSignal) => Promise<string>;

const opened = (
  answer: Answer,
  pieceBytes = 1_000,
): { readonly calls: CallStream; readonly far: Duplex[] } => {
  const far: Duplex[] = [];
  const openStream = async (): Promise<Duplex> => {
    const [near, other] = pair(pieceBytes);
    far.push(other);
    serveCallStream({ stream: other, nextTurn, textBytesMax }, answer);
    return near;
  };
  const endpoint = { socketPath: '/nowhere' };
  return { calls: callStream({ network: { openStream }, clock: nodeClock, nextTurn, endpoint }, 1_000), far };
};

const never: Answer = () => new Promise(() => {});
const reason = (asked: Promise<string>): Promise<unknown> => asked.catch((error) => error.reason);

test.each([1, 3, 7, 1_000])('Texts come whole in pieces of %i bytes, however many at once', async (piece) => {
  const { calls, far } = opened(async (text) => `${text}, said ${text}`, piece);
  const texts = Array.from({ length: 50 }, (_, n) => `${'ä€😀'.repeat(n % 20)}${n}`);
  const answers = await Promise.all(texts.map((text) => calls.ask(text, patient)));
  expect(answers).toEqual(texts.map((text) => `${text}, said ${text}`));
  expect(far).toHaveLength(1);
});

test('A call that is answered late holds up no other', async () => {
  let finish = (_: string): void => {};
  const late = new Promise<string>((resolve) => {
    finish = resolve;
  });
  const { calls } = opened((text) => (text === 'slow' ? late : Promise.resolve(text)));
  const slow = calls.ask('slow', patient);
  expect(await calls.ask('quick', patient)).toBe('quick');
  finish('at last');
  expect(await slow).toBe('at last');
});

test('Who answers hears when nobody waits any more: of a call taken back, one too late, and a stream that ended', async () => {
  const ended: string[] = [];
  const answer: Answer = (text, signal) => {
    signal.addEventListener('abort', () => ended.push(text));
    return never(text, signal);
  };
  const { calls } = opened(answer);
  const taken = new AbortController();
  const asked = calls.ask('taken back', { ...patient, signal: taken.signal });
  expect(await reason(calls.ask('late', { timeoutMs: 1 }))).toBe('timeout');
  taken.abort();
  expect(await reason(asked)).toBe('aborted');
  await expect.poll(() => ended).toEqual(['late', 'taken back']);
  const open = calls.ask('open', patient);
  await nextTurn();
  await nextTurn();
  calls.close();
  expect(await reason(open)).toBe('closed');
  await expect.poll(() => ended).toContain('open');
});

test('A stream that ends fails what waits, and the next call opens another', async () => {
  const { calls, far } = opened((text, signal) =>
    text === 'again' ? Promise.resolve(text) : never(text, signal),
  );
  const lost = [calls.ask('one', patient), calls.ask('two', patient)].map(reason);
  await nextTurn();
  await nextTurn();
  far[0]?.destroy();
  expect(await Promise.all(lost)).toEqual(['closed', 'closed']);
  expect(await calls.ask('again', patient)).toBe('again');
  expect(far).toHaveLength(2);
});

test('A text beyond the limit ends the stream, on either side', async () => {
  const { calls } = opened(async (text) => text.repeat(600));
  expect(await reason(calls.ask('ab', patient))).toBe('too-large');
  expect(await reason(calls.ask('x'.repeat(1_001), patient))).toBe('closed');
  expect(await calls.ask('a', patient)).toHaveLength(600);
});

test('More calls than may be open are refused, and are not taken for a daemon that has no stream', async () => {
  const [near, far] = pair(1_000_000);
  serveCallStream({ stream: far, nextTurn, textBytesMax }, never);
  let posted = 0;
  const network = {
    openStream: async () => near,
    post: async () => {
      posted += 1;
      return { status: 200, body: '' };
    },
  };
  const endpoint = { socketPath: '/nowhere' };
  const { rpc, close } = xmlRpcStream({
    ...{ network: network as unknown as Network, clock: nodeClock, nextTurn, endpoint },
  });
  const asked = Array.from({ length: callsOpenMax + 1 }, () =>
    rpc('a', new Map()).catch((error) => error.reason),
  );
  expect(await asked.at(-1)).toBe('too-large');
  close();
  expect((await Promise.all(asked)).filter((why) => why === 'closed')).toHaveLength(callsOpenMax);
  expect(posted).toBe(0);
});

import { jsonString } from '../../src/codec/jsonrpc-writer.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Bare } from './bare.ts';
import { type Child, startChild } from './child.ts';
import { figure, verdict } from './figures.ts';
import type { Load, Target } from './load.ts';
import { openPool, type Pool } from './pool.ts';
import { processorMs } from './process-facts.ts';
import { sized } from './sizes.ts';
import { posting } from './wire.ts';

const connections = sized(32, 4);
const rounds = sized(9, 2);
const sliceMs = sized(700, 60);

/** `VM.get_power_state` beside a bare server that answers the same bytes, in slices that alternate. */
export const smallCalls = async (print: (line: string) => void): Promise<void> => {
  const pool = await openPool();
  const load = startChild<Load>('load');
  try {
    const client = await pool.client();
    const [vm] = (await client.call('VM.get_all')) as string[];
    const params = [client.session, vm as string];
    print(`VM.get_power_state, ${connections} connections, ${rounds} rounds of slices, median [least..most]`);
    await beside(
      print,
      'XML-RPC',
      { load, pool },
      {
        port: pool.port,
        request: posting('/', xmlCall('VM.get_power_state', params)),
      },
    );
    const list = params.map(jsonString).join(',');
    await beside(
      print,
      'JSON-RPC',
      { load, pool },
      {
        port: pool.port,
        request: posting(
          '/jsonrpc',
          `{"jsonrpc":"2.0","method":"VM.get_power_state","params":[${list}],"id":1}`,
        ),
      },
    );
  } finally {
    await load.close();
    await pool.close();
  }
};

const beside = async (
  print: (line: string) => void,
  language: string,
  { load, pool }: { readonly load: Child<Load>; readonly pool: Pool },
  target: Target,
): Promise<void> => {
  const bare = startChild<Bare>('bare');
  const same: Target = { port: await bare.ask('mirror', target), request: target.request };
  const slice = async (one: Target): Promise<Slice> => {
    const processor = one === same ? () => processorMs(bare.pid) : pool.processorMs;
    const before = await processor();
    const rate = await load.ask('slice', { target: one, connections, ms: sliceMs });
    return { rate, processorUs: (((await processor()) - before) * 1000) / ((rate * sliceMs) / 1000) };
  };
  // The first slices warm both up.
  for (const one of [target, same]) for (let i = 0; i < 3; i++) await slice(one);
  const ours: Slice[] = [];
  const theirs: Slice[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await slice(target));
    theirs.push(await slice(same));
  }
  await bare.close();
  const rates = (slices: readonly Slice[]): readonly number[] => slices.map(({ rate }) => rate);
  const costs = (slices: readonly Slice[]): readonly number[] => slices.map(({ processorUs }) => processorUs);
  print(figure(`${language}: calls/s`, rates(ours)));
  print(figure(`${language}: bare node:http, the same bytes, calls/s`, rates(theirs)));
  print(figure(`${language}: processor time for each call`, costs(ours), 1, ' us'));
  print(figure(`${language}: bare node:http, processor time`, costs(theirs), 1, ' us'));
  const ratios = ours.map(({ rate }, i) => rate / (theirs[i] as Slice).rate);
  print(verdict({ name: `${language}: ratio of calls/s`, values: ratios, atLeast: 0.7 }));
};

/** Rates suffer from whatever else the machine does; processor time for each call hardly does. */
interface Slice {
  readonly rate: number;
  readonly processorUs: number;
}

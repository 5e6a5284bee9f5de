import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { struct, type Value } from '../../src/std/value.ts';
import { startChild } from './child.ts';
import { figure, quantile, verdict } from './figures.ts';
import type { Client } from './pool.ts';
import type { PoolLoad, Series } from './pool-load.ts';
import { sized } from './sizes.ts';
import type { ThreeHosts } from './three-hosts.ts';
import { posting } from './wire.ts';

const writers = sized(16, 2);
const perSecond = sized(500, 20);
const rounds = sized(5, 2);
const secondsOfRound = sized(3, 1);
const writesOfOne = Math.round((perSecond * secondsOfRound) / writers);

/** How soon what the coordinator has committed is read on all members. */
export const poolLog = async (
  print: (line: string) => void,
  { hosts: [coordinator, ...members] }: ThreeHosts,
): Promise<void> => {
  const client = await coordinator.client();
  const networks: string[] = [];
  for (let i = 0; i < writers; i++) networks.push(await newNetwork(client, i));
  const load = startChild<PoolLoad>('pool-load');
  const call = (method: string, ...params: readonly string[]): Buffer =>
    posting('/', xmlCall(method, [client.session, ...params]));
  let numbered = 0;
  const writing = (): readonly Series[] => {
    numbered += 1;
    // Each round has numbers of its own, for what the round before wrote is still there.
    return networks.map((network, w) => ({
      port: coordinator.port,
      requests: Array.from({ length: writesOfOne }, (_, n) =>
        call('network.set_name_description', network, `r${numbered} w${w}-${n}`),
      ),
    }));
  };
  try {
    const round = async () => {
      for (const network of networks) await client.call('network.set_name_description', network, 'none');
      const request = call('network.get_all_records');
      const readers = members.map(({ port }) => ({ port, request }));
      return load.ask('replicate', { writers: writing(), readers, perSecond });
    };
    await round();
    const found: Awaited<ReturnType<typeof round>>[] = [];
    for (let i = 0; i < rounds; i++) found.push(await round());
    const of = (pick: (one: (typeof found)[number]) => number): readonly number[] => found.map(pick);
    print(
      `Commits of the coordinator, until read on both members, ${rounds} rounds of ${secondsOfRound} s, median [least..most]`,
    );
    print(
      figure(
        'commits/s',
        of((one) => one.perSecond),
      ),
    );
    const since = (what: string, ms: (one: (typeof found)[number]) => readonly number[]): void => {
      print(
        figure(
          `${what}, p50`,
          of((one) => quantile(ms(one), 0.5)),
          1,
          ' ms',
        ),
      );
      const values = of((one) => quantile(ms(one), 0.99));
      print(verdict({ name: `${what}, p99`, values, digits: 1, unit: ' ms', atMost: 20 }));
    };
    since('since the answer to the client', (one) => one.sinceAnsweredMs);
    since('since the client sent it, its commit included', (one) => one.sinceSentMs);
  } finally {
    await load.close();
  }
};

const newNetwork = async (client: Client, i: number): Promise<string> => {
  const fields: Readonly<Record<string, Value>> = {
    name_label: `written ${i}`,
    name_description: '',
    MTU: 1500n,
    other_config: new Map(),
    bridge: '',
    managed: true,
  };
  return (await client.call('network.create', struct(fields))) as string;
};

import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { startChild } from './child.ts';
import { figure, quantile, verdict } from './figures.ts';
import type { Client } from './pool.ts';
import type { PoolLoad, Series } from './pool-load.ts';
import { sized } from './sizes.ts';
import type { Host, ThreeHosts } from './three-hosts.ts';
import { posting } from './wire.ts';

const rounds = sized(7, 2);
const callsOfRound = sized(100, 5);

/** What the same call takes at the edge of its object's host, and at the edge of another. */
interface Pair {
  readonly name: string;
  readonly local: Series;
  readonly across: Series;
  /** Between the two there is more than a call across: shown, and held against nothing. */
  readonly alsoCommits?: boolean;
}

/** Calls that cross from the edge of one host to an object on another, beside those that do not. */
export const poolCalls = async (
  print: (line: string) => void,
  { hosts: [coordinator, member] }: ThreeHosts,
  newVm: (name: string) => Promise<string>,
): Promise<void> => {
  const client = await coordinator.client();
  const here = await started(client, await newVm('here'), coordinator);
  const there = await started(client, await newVm('there'), member);
  const asleep = await newVm('asleep');
  let written = 0;
  const at = ({ port }: Host, method: string, ref: string): Series => ({
    port,
    requests: Array.from({ length: callsOfRound }, () => {
      const more = method === write ? [`${written++}`] : [];
      return posting('/', xmlCall(method, [client.session, ref, ...more]));
    }),
  });
  const pairs = (): readonly Pair[] => [
    {
      name: 'asks a host itself (host.get_servertime)',
      local: at(coordinator, 'host.get_servertime', coordinator.ref),
      across: at(coordinator, 'host.get_servertime', member.ref),
    },
    {
      name: 'changes an object of the coordinator, asked of a member',
      local: at(coordinator, write, asleep),
      across: at(member, write, asleep),
    },
    {
      name: 'changes an object of a member, asked of the coordinator',
      local: at(coordinator, write, here),
      across: at(coordinator, write, there),
      alsoCommits: true,
    },
    {
      name: 'changes an object of a member, asked there',
      local: at(coordinator, write, here),
      across: at(member, write, there),
      alsoCommits: true,
    },
  ];
  await measured(print, pairs);
  for (const vm of [here, there]) await client.call('VM.hard_shutdown', vm);
};

const write = 'VM.set_name_description';

const started = async (client: Client, vm: string, host: Host): Promise<string> => {
  await client.call('VM.start_on', vm, host.ref, false, false);
  return vm;
};

const measured = async (print: (line: string) => void, pairs: () => readonly Pair[]): Promise<void> => {
  const load = startChild<PoolLoad>('pool-load');
  try {
    const medians = async (): Promise<readonly number[]> => {
      const taken = await load.ask(
        'turns',
        pairs().flatMap(({ local, across }) => [local, across]),
      );
      return taken.map((ms) => quantile(ms, 0.5));
    };
    await medians();
    const found: (readonly number[])[] = [];
    for (let round = 0; round < rounds; round++) found.push(await medians());
    print(
      `Calls across hosts, one at a time, p50 of ${rounds} rounds of ${callsOfRound}, median [least..most]`,
    );
    for (const [i, { name, alsoCommits }] of pairs().entries()) {
      const local = found.map((round) => round[2 * i] as number);
      const across = found.map((round) => round[2 * i + 1] as number);
      const more = across.map((ms, n) => ms - (local[n] as number));
      print(`  ${name}:`);
      print(figure('  the same on the coordinator alone', local, 2, ' ms'));
      print(figure('  across', across, 2, ' ms'));
      if (alsoCommits) print(figure('  more, its commit on the coordinator included', more, 2, ' ms'));
      else print(verdict({ name: '  more', values: more, unit: ' ms', atMost: 1 }));
    }
  } finally {
    await load.close();
  }
};

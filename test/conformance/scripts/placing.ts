import { nullRef, type Ref } from '../../../src/model/types.ts';
import {
  type HostSummary,
  type Selection,
  selectHost,
  summary,
} from '../../../src/rules/placement/selection.ts';
import type { Tx } from '../../../src/store/view.ts';
import type { Case } from '../cases.ts';
import { guests } from '../placement.ts';
import { against } from '../subject.ts';
import { inLab, type Lab } from './lab.ts';

// Where VMs are started that may start on several hosts. The hosts of a case are the first ones of the lab, and the
// others are disabled. Guests that are there already are rows, as no call keeps one on its way.

type Fields = Readonly<Record<string, any>>;

const hostsMax = 5;

const refOf = <C extends string>(name: string): Ref<C & 'VM'> => `OpaqueRef:case-${name}` as Ref<C & 'VM'>;

/** What is counted as 1 in cases: so much that what sizes are rounded by is nothing beside it. */
const unitBytes = 1n << 40n;
const bytes = (count: number): bigint => BigInt(count) * unitBytes;

const memoryFields = (guest: Fields) => ({
  memory_static_min: bytes(guest['static_min'] ?? 0),
  memory_dynamic_min: bytes(guest['dynamic_min'] ?? 0),
  memory_dynamic_max: bytes(guest['dynamic_max'] ?? 0),
  memory_static_max: bytes(guest['static_max'] ?? 0),
});

/** Nothing is left of the case before, and of this one there are these hosts. */
const begin = (lab: Lab, usable: (index: number) => boolean, write: (tx: Tx) => void): Promise<void> =>
  lab.rows((tx) => {
    for (const cls of ['VM', 'VM_group'] as const) {
      const old = [...tx.all(cls)].filter(([ref]) => ref.startsWith(refOf('')));
      for (const [ref] of old) tx.delete(cls, ref as Ref<any>);
    }
    for (const [index, host] of lab.hosts.entries()) {
      tx.patch('host', host, { enabled: usable(index) });
      // The cases know of no domain that a host itself is in.
      tx.patch('VM', tx.require('host', host).control_domain, memoryFields({}));
    }
    write(tx);
  });

const noHost = ['NO_HOSTS_AVAILABLE', 'HOST_NOT_ENOUGH_FREE_MEMORY', 'HOST_DISABLED'];

/** The host that it is started on, after which it is halted again; undefined where there is none for it. */
const startedOn = async (lab: Lab, vm: Ref<'VM'>): Promise<Ref<'host'> | undefined> => {
  const answer = await lab.ask('VM.start', vm, true, false);
  if (answer?.error !== undefined) {
    if (!noHost.includes(answer.error[0])) throw new Error(`It could not start: ${answer.error}`);
    return undefined;
  }
  const host = await lab.ask('VM.get_resident_on', vm);
  await lab.ask('VM.hard_shutdown', vm);
  return host;
};

const residents = (
  host: Fields,
  index: number,
): readonly (readonly [ref: Ref<'VM'>, guest: Fields, field: string])[] =>
  (['resident', 'scheduled'] as const).flatMap((how) =>
    ((host[`guests_${how}`] ?? []) as Fields[]).map(
      (guest, i) =>
        [
          refOf(`${index}-${how}-${i}`),
          guest,
          how === 'resident' ? 'resident_on' : 'scheduled_to_be_resident_on',
        ] as const,
    ),
  );

/** Hosts whose guests are as large as the case says; what the hypervisor takes for each is its own to say. */
const putHosts = async (lab: Lab, given: Fields, newcomer: Ref<'VM'>): Promise<void> => {
  const all: readonly Fields[] = given['hosts'];
  const isUsable = (index: number): boolean =>
    all[index] !== undefined && !given['hosts failing validation'].includes(all[index]?.['id']);
  await begin(lab, isUsable, (tx) => {
    tx.patch('pool', tx.only('pool')[0], { coordinator_bias: given['coordinator bias'] });
    for (const [index, host] of all.entries()) {
      for (const [ref, guest, field] of residents(host, index)) {
        const power_state = field === 'resident_on' ? 'Running' : 'Halted';
        tx.create('VM', ref, { uuid: ref, ...memoryFields(guest), power_state, [field]: lab.hosts[index] });
      }
    }
  });
  const { latest } = lab.sandbox.store;
  const overhead = (ref: Ref<'VM'>, guest: Fields): bigint =>
    latest.require('VM', ref).memory_overhead - bytes(guest['overhead']);
  await lab.rows((tx) => {
    for (const [index, host] of all.entries()) {
      const row = lab.hosts[index] as Ref<'host'>;
      const { metrics, memory_overhead, control_domain } = tx.require('host', row);
      const theirs = residents(host, index).reduce((sum, [ref, guest]) => sum + overhead(ref, guest), 0n);
      const memory_total =
        bytes(host['memory_total'] - host['memory_overhead']) +
        memory_overhead +
        tx.require('VM', control_domain).memory_overhead +
        theirs +
        overhead(newcomer, given['guest to place']);
      tx.patch('host_metrics', metrics, { memory_total });
    }
  });
};

const summaries = (given: Fields): readonly HostSummary[] =>
  given['hosts'].map((host: Fields) =>
    summary(
      {
        host: host['id'],
        isCoordinator: host['is_pool_master'],
        overhead: BigInt(host['memory_overhead']),
        total: BigInt(host['memory_total']),
        guests: guests(host['guests_resident'], host['guests_scheduled']),
      },
      guests([given['guest to place']]),
    ),
  );

/**
 * The rule chooses by chance among hosts and counts on guests that can be compressed. Hosts here do neither: the
 * best host has the VM, where all guests can have what they ask for, and that is what a start shows.
 */
const placed = async (lab: Lab, { given, then }: Case): Promise<unknown> => {
  const all = summaries(given);
  const isFit = (host: string): boolean => !given['hosts failing validation'].includes(host);
  const by: Selection = {
    preferred: given['affinity hosts'],
    isFit,
    random: () => Number(given['random function always returns']),
    coordinatorBias: given['coordinator bias'],
  };
  const roomy = all.filter(({ available, dynamicMax }) => available >= dynamicMax);
  const best = selectHost(roomy, { ...by, random: () => 0 });
  const ids: readonly string[] = all.map(({ host }) => host);
  const affinity = lab.hosts[ids.indexOf(given['affinity hosts'][0])] ?? nullRef;
  const vm = await lab.newVm({ ...memoryFields(given['guest to place']), affinity });
  await putHosts(lab, given, vm);
  const host = await startedOn(lab, vm);
  return against(
    { host: selectHost(all, by) ?? null, 'VM.start': host && ids[lab.hosts.indexOf(host)] },
    { ...then, 'VM.start': best },
  );
};

export const placementSelection = inLab(placed, { hosts: hostsMax });

const vmRow = (vm: Fields, hostOf: (name: string | null) => Ref<'host'>): Record<string, unknown> => {
  const [state, host] = [vm['state'], hostOf(vm['host'])];
  const arriving = state === 'Starting' || state === 'Migrating';
  const power: Fields = { Starting: 'Halted', Migrating: 'Running' };
  const elsewhere = ['h1', 'h2', 'h3'].map(hostOf).find((one) => one !== host) ?? nullRef;
  return {
    groups: vm['group'] === null ? [] : [refOf(vm['group'])],
    power_state: power[state] ?? state,
    scheduled_to_be_resident_on: arriving ? host : nullRef,
    resident_on: state === 'Starting' ? nullRef : state === 'Migrating' ? elsewhere : host,
  };
};

/** Started again and again, each time without the host that it was started on before. */
const ranked = async (lab: Lab, { given, then }: Case): Promise<unknown> => {
  const names: readonly string[] = given['hosts'];
  const hostOf = (name: string | null): Ref<'host'> =>
    lab.hosts[names.indexOf(name ?? '')] ?? (nullRef as Ref<'host'>);
  const [started, others]: readonly [Fields, readonly Fields[]] = [given['VM to start'], given['other VMs']];
  const rowOf = (one: Fields) => vmRow(one, hostOf);
  await begin(
    lab,
    (index) => index < names.length,
    (tx) => {
      const groups = new Set([started, ...others].flatMap(({ group }) => group ?? []));
      for (const group of groups) {
        const ref = refOf(group) as Ref<any>;
        tx.create('VM_group', ref, { uuid: ref, placement: 'anti_affinity' });
      }
      for (const one of others) {
        tx.create('VM', refOf(one['name']), { uuid: refOf(one['name']), ...rowOf(one) });
      }
    },
  );
  const vm = await lab.newVm({ ...rowOf(started), affinity: hostOf(given['affinity host']) });
  const order: string[] = [];
  for (let host = await startedOn(lab, vm); host !== undefined; host = await startedOn(lab, vm)) {
    order.push(names[lab.hosts.indexOf(host)] ?? host);
    await lab.ask('host.disable', host, false);
  }
  const expected: readonly (readonly string[])[] = then['ranked host groups, best first'];
  // Hosts that are equally good come in any order.
  const found = expected.map((alike) => order.splice(0, alike.length).toSorted());
  return against([...found, order], [...expected.map((alike) => alike.toSorted()), []]);
};

export const antiAffinity = inLab(ranked, { hosts: hostsMax });

import { divergedFiles } from '../../log/diverged.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import { peerRef } from '../../pool/context.ts';
import { same } from '../../store/version.ts';
import { lifeOf } from '../life.ts';
import type { Answered } from './load.ts';
import { hostsOf, isMember, leadersOf, membersOf } from './members.ts';
import { divergedFolder } from './process.ts';
import type { Watchers } from './watchers.ts';
import type { World, WorldHost } from './world.ts';

/** A rule that was broken. */
export class Broken extends Error {
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.name = 'Broken';
    this.invariant = invariant;
  }
}

/** Throws when something is so that must never be. Asked after every step. */
export const alwaysOf = (world: World, told: Answered, watchers: Watchers): (() => void) => {
  const acts = actsOf(world);
  let seenChanges = -1;
  return () => {
    if (world.truth.changes !== seenChanges) {
      seenChanges = world.truth.changes;
      const violation = world.truth.violation();
      // Whoever insists answers for it that nothing runs where he does not see it.
      if (violation !== undefined && !world.forced)
        throw new Broken('a VM runs, and a disk is written to, on one host', violation);
    }
    if (acts.violation !== undefined) throw new Broken('one epoch acts at a time', acts.violation);
    if (told.seen !== undefined) throw new Broken('clients read what they wrote', told.seen);
    if (watchers.violation !== undefined)
      throw new Broken('events are gapless and in order', watchers.violation);
    if (world.bugs.length > 0) throw new Broken('nothing fails with a bug', world.bugs[0] as string);
  };
};

/** Who acknowledges commits, as readers of a coordinator see them. */
const actsOf = (world: World): { violation: string | undefined } => {
  const found: { violation: string | undefined } = { violation: undefined };
  const by = new Map<number, string>();
  const acknowledged = new Map<number, number>();
  // A cluster has a commit for good before the host that made it hears so.
  const isToldByLeader = world.options.engine === 'primary';
  let newest = 0;
  const newestOf = new Map<WorldHost, number>();
  world.onProcess((host, process) => {
    const { store, replica, pool } = process;
    store.watch(() => {
      // A host that is a pool of its own has epochs of its own.
      if (!isMember(world, { process })) return;
      if (pool.duty.kind === 'leads' && world.ejected.has(process.context.host))
        found.violation ??= `${host.name} acknowledges though it was put out of the pool`;
      const { epoch } = replica;
      const { generation } = store;
      if (pool.duty.kind !== 'follows')
        acknowledged.set(epoch, Math.max(acknowledged.get(epoch) ?? 0, generation));
      // A later epoch may acknowledge what this host still has of the one before.
      else if (isToldByLeader && ![...acknowledged].some(([one, upTo]) => one >= epoch && upTo >= generation))
        found.violation ??= `${host.name} shows ${generation} of epoch ${epoch} before it is acknowledged`;
      if (pool.duty.kind !== 'leads') return;
      const first = by.get(epoch) ?? host.name;
      by.set(epoch, first);
      // Where somebody insisted, the one that he did not see goes on: in its own epoch, which it had before.
      const bound = world.forced ? (newestOf.get(host) ?? 0) : newest;
      if (epoch < bound)
        found.violation ??= `${host.name} acknowledges in ${epoch} after ${by.get(newest)} in ${newest}`;
      if (first !== host.name)
        found.violation ??= `${first} and ${host.name} both acknowledge in epoch ${epoch}`;
      newest = Math.max(newest, epoch);
      newestOf.set(host, Math.max(newestOf.get(host) ?? 0, epoch));
    });
  });
  return found;
};

/** What keeps a pool in which nothing goes wrong any more from being at rest; undefined when it is. */
export const unrest = (world: World, told: Answered): string | undefined => {
  const leaders = leadersOf(world);
  const [leader] = leaders;
  if (leader?.process === undefined || leaders.length !== 1) return `${leaders.length} hosts lead`;
  for (const host of world.hosts) {
    if (!host.ready || host.process === undefined) return `${host.name} does not serve`;
    if (host === leader) continue;
    if (!isMember(world, host)) {
      const why = notAlone(host, leader);
      if (why !== undefined) return why;
      continue;
    }
    const { duty } = host.process.pool;
    if (duty.kind !== 'follows' || duty.leader !== leader.ref || !duty.synced) {
      return `${host.name} ${duty.kind} and does not follow ${leader.name}`;
    }
  }
  for (const waits of world.operators.values()) return `an operator waits: ${waits}`;
  if (told.active > 0) return `${told.active} clients wait for answers`;
  const { store } = leader.process;
  for (const [task, row] of store.committed.all('task')) {
    if (row.status !== 'pending' && row.status !== 'cancelling') continue;
    const at = nameOf(world, row.resident_on);
    const to = nameOf(world, row.forwarded_to);
    return `the task ${row.name_label} (${task}) of ${at}, forwarded to ${to}, is ${row.status}`;
  }
  for (const [ref, { live }] of store.committed.all('host_metrics')) if (!live) return `${ref} is not live`;
  return stuck(store.tables) ?? unequal(world, leader) ?? untrue(world, leader);
};

/** What of a host that is not of the pool is not as it should be: a pool by itself, that nobody knows of. */
const notAlone = ({ name, ref, process, machine }: WorldHost, leader: WorldHost): string | undefined => {
  if (process?.pool.duty.kind !== 'leads') return `${name} ${process?.pool.duty.kind} and is in no pool`;
  if (machine.guests.all.size > 0) return `${name} is in no pool, and guests run there`;
  const { committed } = leader.process?.store ?? process.store;
  return hostsOf(leader).has(ref) || committed.get('xenact_peer', peerRef(ref)) !== undefined
    ? `${name} is in no pool, and ${leader.name} knows it`
    : undefined;
};

const stuck = (tables: NonNullable<WorldHost['process']>['store']['tables']): string | undefined => {
  for (const [cls, { schema, entries }] of tables) {
    if (!schema.fieldNames.includes('current_operations')) continue;
    for (const { ref, committed } of entries.values()) {
      const running = committed?.record['current_operations'] as ReadonlyMap<string, string> | undefined;
      if (running !== undefined && running.size > 0)
        return `${cls}/${ref} is stuck in ${[...running.values()]}`;
    }
  }
  return undefined;
};

const unequal = (world: World, leader: WorldHost): string | undefined => {
  const members = membersOf(world);
  const known = hostsOf(leader);
  for (const { name, ref } of members) if (!known.has(ref)) return `${leader.name} does not know ${name}`;
  if (known.size !== members.length) return `${leader.name} knows ${known.size} hosts, not ${members.length}`;
  for (const host of members) {
    const text = host === leader ? undefined : difference(leader, host);
    if (text !== undefined) return text;
  }
  return undefined;
};

const difference = (one: WorldHost, two: WorldHost): string | undefined => {
  const [a, b] = [one.process?.store, two.process?.store];
  if (a === undefined || b === undefined) return 'a host is down';
  if (a.generation !== b.generation)
    return `${one.name} is at ${a.generation}, ${two.name} at ${b.generation}`;
  for (const [cls, table] of a.tables) {
    const others = b.tables.get(cls)?.entries;
    const refs = new Set([...table.entries.keys(), ...(others?.keys() ?? [])]);
    for (const ref of refs) {
      const [mine, its] = [table.entries.get(ref)?.committed, others?.get(ref)?.committed];
      if (mine === undefined && its === undefined) continue;
      const names = `${cls}/${ref} of ${one.name} and of ${two.name}`;
      if (mine === undefined || its === undefined) return `${names}: only one has it`;
      if (mine.modified !== its.modified || mine.created !== its.created) {
        return (
          `${names}: of ${mine.modified} and ${its.modified}, made in ${mine.created} and ` + `${its.created}`
        );
      }
      const field = Object.keys(mine.record).find((name) => !same(mine.record[name], its.record[name]));
      if (field !== undefined) return `${names}: ${field} differs`;
    }
  }
  return undefined;
};

/** Rows say of VMs what is so. */
const untrue = (world: World, leader: WorldHost): string | undefined => {
  const view = leader.process?.store.committed;
  for (const { ref, uuid } of world.past.vms) {
    const row = view?.get('VM', ref);
    if (row === undefined) return `VM ${ref} has no row`;
    const at = world.hosts.find(({ machine }) => machine.guests.all.has(uuid));
    const said = row.power_state === 'Halted' ? nullRef : row.resident_on;
    if (said !== (at?.ref ?? nullRef))
      return `VM ${ref} runs on ${at?.name ?? 'no host'}, its row says ${row.power_state} on ${said}`;
    if (row.scheduled_to_be_resident_on !== nullRef)
      return `VM ${ref} is still on its way to ${nameOf(world, row.scheduled_to_be_resident_on)}`;
  }
  return undefined;
};

/** What hosts had answered and the pool lacks, as they keep it for their operators. */
export interface KeptAside {
  /** Keys in `other_config` of a VM, in each of the rows that were kept of it. */
  readonly configs: ReadonlyMap<string, readonly ReadonlySet<string>[]>;
  /** References of all rows that were kept. */
  readonly refs: ReadonlySet<string>;
}

/** Of all hosts, once nothing runs any more. */
export const setAsideOf = async (world: World): Promise<KeptAside> => {
  const configs = new Map<string, ReadonlySet<string>[]>();
  const refs = new Set<string>();
  for (const { machine } of world.hosts) {
    const disk = machine.disk.of(lifeOf('operator', world.clock));
    const files = divergedFiles({ disk, folder: divergedFolder, now: () => 0 });
    for (const { rows } of await files.list()) {
      for (const { ref, fields } of rows) {
        refs.add(ref);
        const config = (fields as { other_config?: readonly (readonly [string, string])[] } | undefined)
          ?.other_config;
        if (config === undefined) continue;
        configs.set(ref, [...(configs.get(ref) ?? []), new Set(config.map(([key]) => key))]);
      }
    }
  }
  return { configs, refs };
};

const lost = 'no acknowledged write is lost';

/**
 * At the end: nothing that a client was told, or shown, is missing. What an order cost that was insisted upon
 * must be where the host that had answered it has set it aside.
 */
export const checkEnd = (world: World, told: Answered, { configs, refs }: KeptAside): void => {
  const isExcused = (vm: string, key: string, present: boolean): boolean =>
    world.forced && (configs.get(vm) ?? []).some((keys) => keys.has(key) === present);
  for (const host of membersOf(world)) {
    const view = host.process?.store.committed;
    const has = (vm: Ref<'VM'>, key: string): boolean => view?.get('VM', vm)?.other_config.has(key) === true;
    for (const { vm, key, present, open } of told.keys.values()) {
      if (open || has(vm, key) === present || isExcused(vm, key, present)) continue;
      const what = present ? 'was written and is not there' : 'was removed, or refused, and is there';
      throw new Broken(lost, `${key} of ${vm} ${what} on ${host.name}`);
    }
    for (const shown of told.shown) {
      const expected = told.keys.get(shown);
      // What was refused, or was to be removed, may have been shown before that.
      if (expected === undefined || !expected.present || expected.removing) continue;
      const { vm, key } = expected;
      if (has(vm, key) || isExcused(vm, key, true)) continue;
      throw new Broken('what a client was shown stays', `${key} of ${vm} is not there on ${host.name}`);
    }
    for (const task of told.tasks) {
      if (view?.get('task', task as Ref<'task'>) !== undefined || (world.forced && refs.has(task))) continue;
      throw new Broken(lost, `the task ${task} is gone on ${host.name}`);
    }
  }
};

const nameOf = (world: World, ref: Ref<'host'>): string =>
  world.hosts.find((host) => host.ref === ref)?.name ?? 'no host';

import { afterMoves, type Move, pack, type Sized } from './packing.ts';

/** A VM to move away, with the group whose members had better run apart. */
export interface Evacuee extends Sized {
  readonly group?: string;
}

/** How many members of each group run on each host that stays: `running.get(group)?.get(host)`. */
export type Running = ReadonlyMap<string, ReadonlyMap<string, number>>;

interface Room extends Sized {
  readonly members: number;
}

/** What is known while a plan is made. */
interface Sketch {
  readonly free: Map<string, bigint>;
  readonly members: Map<string, Map<string, number>>;
  readonly moves: Move[];
}

const sketchOf = (hosts: readonly Sized[], running: Running): Sketch => ({
  free: new Map(hosts.map(({ name, sizeBytes }) => [name, sizeBytes])),
  members: new Map([...running].map(([group, byHost]) => [group, new Map(byHost)])),
  moves: [],
});

const roomsFor = ({ free, members }: Sketch, group: string): readonly Room[] =>
  [...free].map(([name, sizeBytes]) => ({
    name,
    sizeBytes,
    members: members.get(group)?.get(name) ?? 0,
  }));

/** Fewest members of the group first, then the host with the least room, so that big rooms stay whole. */
const byFewestMembers = (a: Room, b: Room): number =>
  a.members - b.members || (a.sizeBytes === b.sizeBytes ? 0 : a.sizeBytes < b.sizeBytes ? -1 : 1);

const put = (sketch: Sketch, { name, sizeBytes }: Sized, group: string, host: Room): void => {
  sketch.free.set(host.name, host.sizeBytes - sizeBytes);
  const counts = sketch.members.get(group) ?? new Map<string, number>();
  sketch.members.set(group, counts.set(host.name, host.members + 1));
  sketch.moves.unshift([name, host.name]);
};

const grouped = (vms: readonly Evacuee[]): readonly (Evacuee & { readonly group: string })[] =>
  vms
    .flatMap((vm) => (vm.group === undefined ? [] : [{ ...vm, group: vm.group }]))
    .sort((a, b) => (a.sizeBytes === b.sizeBytes ? 0 : a.sizeBytes < b.sizeBytes ? -1 : 1));

/** Members of groups as evenly over the hosts as can be, small ones first. Empty unless all of them fit. */
export const spreadEvenly = (
  vms: readonly Evacuee[],
  hosts: readonly Sized[],
  running: Running,
): readonly Move[] => {
  const sketch = sketchOf(hosts, running);
  for (const vm of grouped(vms)) {
    const rooms = [...roomsFor(sketch, vm.group)].sort(byFewestMembers);
    const room = rooms.find(({ sizeBytes }) => sizeBytes >= vm.sizeBytes);
    if (room === undefined) return [];
    put(sketch, vm, vm.group, room);
  }
  return sketch.moves;
};

/** A group is not broken as long as this many hosts run a member of it. */
const hostsApart = 2;

/** Only the moves that keep each group on two hosts; whoever is not needed for that is left for later. */
export const withoutBreach = (
  vms: readonly Evacuee[],
  hosts: readonly Sized[],
  running: Running,
): readonly Move[] => {
  const sketch = sketchOf(hosts, running);
  for (const vm of grouped(vms)) {
    const rooms = roomsFor(sketch, vm.group);
    if (rooms.filter(({ members }) => members > 0).length >= hostsApart) continue;
    const empty = rooms.filter(({ members }) => members === 0).sort(byFewestMembers);
    const room = empty.find(({ sizeBytes }) => sizeBytes >= vm.sizeBytes);
    if (room !== undefined) put(sketch, vm, vm.group, room);
  }
  return sketch.moves;
};

/** First what matters to groups, then the rest where there is room. */
const completed = (
  first: readonly Move[],
  vms: readonly Evacuee[],
  hosts: readonly Sized[],
): readonly Move[] => {
  const planned = new Set(first.map(([vm]) => vm));
  const left = afterMoves({ hosts, vms, placement: [] }, first).hosts;
  return [
    ...pack(
      vms.filter(({ name }) => !planned.has(name)),
      left,
    ),
    ...first,
  ];
};

/**
 * Where the VMs of a host go when it is emptied: groups spread evenly, else kept on two hosts, else
 * wherever there is room. The last may leave VMs out.
 */
export const evacuationPlan = (
  vms: readonly Evacuee[],
  hosts: readonly Sized[],
  running: Running,
): readonly Move[] => {
  for (const plan of [spreadEvenly, withoutBreach]) {
    const moves = completed(plan(vms, hosts, running), vms, hosts);
    if (moves.length === vms.length) return moves;
  }
  return pack(vms, hosts);
};

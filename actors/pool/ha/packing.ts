// Where VMs go when hosts fail, as sizes and names alone. Packing is greedy, so a plan that is not found
// may exist all the same; one that is found works.

export interface Sized {
  readonly name: string;
  readonly sizeBytes: bigint;
}

/** The VM and the host that it goes to. */
export type Move = readonly [vm: string, host: string];

export interface Layout {
  /** Live hosts, with the memory that is free on each. */
  readonly hosts: readonly Sized[];
  readonly vms: readonly Sized[];
  readonly placement: readonly Move[];
}

export interface Question extends Layout {
  /** Live or not. */
  readonly hostsTotal: number;
  readonly failures: number;
}

const biggestFirst = (a: Sized, b: Sized): number =>
  a.sizeBytes === b.sizeBytes ? 0 : a.sizeBytes > b.sizeBytes ? -1 : 1;

/** The biggest VM goes to the host with most room, and so on; what fits nowhere is left out. Latest first. */
export const pack = (vms: readonly Sized[], hosts: readonly Sized[]): readonly Move[] => {
  const rooms = [...hosts].sort(biggestFirst);
  const moves: Move[] = [];
  for (const { name, sizeBytes } of [...vms].sort(biggestFirst)) {
    const [roomiest] = rooms;
    if (roomiest === undefined || roomiest.sizeBytes < sizeBytes) continue;
    moves.unshift([name, roomiest.name]);
    const left = { name: roomiest.name, sizeBytes: roomiest.sizeBytes - sizeBytes };
    rooms.shift();
    const at = rooms.findIndex((room) => room.sizeBytes <= left.sizeBytes);
    rooms.splice(at < 0 ? rooms.length : at, 0, left);
  }
  return moves;
};

/** The VMs that lose their host when one dies. */
export const failedVms = ({ placement }: Layout, host: string): readonly string[] =>
  placement.filter(([, on]) => on === host).map(([vm]) => vm);

const sized = ({ vms }: Layout, names: readonly string[]): readonly Sized[] => {
  const byName = new Map(vms.map((vm) => [vm.name, vm]));
  return names.flatMap((name) => byName.get(name) ?? []);
};

/** Where the VMs of a dead host go. */
export const packFailed = (layout: Layout, failed: readonly string[]): readonly Move[] =>
  pack(sized(layout, failed), layout.hosts);

/** What is there once the moves are made. */
export const afterMoves = (layout: Layout, moves: readonly Move[]): Layout => {
  const moved = new Map(moves);
  const sizes = new Map(layout.vms.map(({ name, sizeBytes }) => [name, sizeBytes]));
  const taken = (host: string): bigint =>
    moves.reduce((sum, [vm, to]) => (to === host ? sum + (sizes.get(vm) ?? 0n) : sum), 0n);
  return {
    hosts: layout.hosts.map(({ name, sizeBytes }) => ({ name, sizeBytes: sizeBytes - taken(name) })),
    vms: layout.vms,
    placement: [...moves, ...layout.placement.filter(([vm]) => !moved.has(vm))],
  };
};

/** One host dies and its VMs are started elsewhere; undefined when they do not all fit. */
const afterFailure = (layout: Layout, dead: string): Layout | undefined => {
  const failed = failedVms(layout, dead);
  const live = { ...layout, hosts: layout.hosts.filter(({ name }) => name !== dead) };
  const moves = packFailed(live, failed);
  return moves.length === failed.length ? afterMoves(live, moves) : undefined;
};

/** Too few hosts whatever the sizes: those that fail, and one more if there is anything to protect. */
const isHopeless = ({ hosts, vms, failures }: Question): boolean =>
  hosts.length < failures || (hosts.length === failures && vms.length > 0);

/** Tries every order in which so many hosts can fail. */
export const survivesEveryOrder = (question: Question): boolean => {
  if (isHopeless(question)) return false;
  const survives = (layout: Layout, failures: number): boolean =>
    failures === 0 ||
    layout.hosts.every(({ name }) => {
      const next = afterFailure(layout, name);
      return next !== undefined && survives(next, failures - 1);
    });
  return survives(question, question.failures);
};

const sum = (numbers: readonly bigint[]): bigint => numbers.reduce((total, one) => total + one, 0n);
const descending = (a: bigint, b: bigint): number => (a === b ? 0 : a > b ? -1 : 1);

/** Takes every VM for as big as the biggest, and the hosts that would be missed most for those that fail. */
export const survivesTheWorst = (question: Question): boolean => {
  const { hosts, vms, placement, failures } = question;
  if (isHopeless(question)) return false;
  const biggest = [...vms].sort(biggestFirst)[0]?.sizeBytes ?? 0n;
  // VMs without any memory to find fit anywhere.
  if (biggest === 0n) return true;
  const rooms = hosts.map(({ sizeBytes }) => sizeBytes / biggest).sort(descending);
  const guests = hosts
    .map(({ name }) => BigInt(placement.filter(([, on]) => on === name).length))
    .sort(descending);
  return sum(guests.slice(0, failures)) <= sum(rooms.slice(failures));
};

const int64Max = 2n ** 63n - 1n;

/** How many ways there are to choose `r` of `n`; undefined beyond a 64-bit integer. */
export const binomial = (n: number, r: number): bigint | undefined => {
  let ways = 1n;
  for (let i = 1; i <= Math.min(r, n - r); i += 1) ways = (ways * BigInt(n - i + 1)) / BigInt(i);
  return ways > int64Max ? undefined : ways;
};

/** Larger pools are never tried exhaustively, nor are more orders than these. */
const hostsTriedMax = 32;
const ordersTriedMax = 3_500n;

export const heuristicFor = (hostsTotal: number, failures: number): 'exhaustive' | 'approximate' => {
  if (hostsTotal > hostsTriedMax) return 'approximate';
  let orders = binomial(hostsTotal, failures) ?? ordersTriedMax;
  for (let i = 2n; i <= BigInt(failures); i += 1n) orders *= i;
  return orders < ordersTriedMax ? 'exhaustive' : 'approximate';
};

/** Whether all VMs can be restarted whichever hosts fail. */
export const survives = (question: Question): boolean =>
  heuristicFor(question.hostsTotal, question.failures) === 'exhaustive'
    ? survivesEveryOrder(question)
    : survivesTheWorst(question);

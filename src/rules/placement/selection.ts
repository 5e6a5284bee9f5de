// Which host a VM starts on where it may start on several: the one with most memory to spare, by how
// much the guests there must be compressed for it.

export interface GuestMemory {
  readonly overhead: bigint;
  readonly staticMin: bigint;
  readonly dynamicMin: bigint;
  readonly dynamicMax: bigint;
  readonly staticMax: bigint;
}

export interface HostMemory {
  readonly host: string;
  readonly isCoordinator: boolean;
  readonly overhead: bigint;
  readonly total: bigint;
  /** Guests that run there or are on their way. */
  readonly guests: readonly GuestMemory[];
}

/** What a host has for guests, and what they ask for together. */
export interface HostSummary {
  readonly host: string;
  readonly isCoordinator: boolean;
  readonly available: bigint;
  readonly staticMin: bigint;
  readonly dynamicMin: bigint;
  readonly dynamicMax: bigint;
  readonly staticMax: bigint;
}

/** A host as if the newcomers ran there as well. */
export const summary = (host: HostMemory, newcomers: readonly GuestMemory[] = []): HostSummary => {
  const guests = [...host.guests, ...newcomers];
  const sum = (of: keyof GuestMemory): bigint => guests.reduce((total, guest) => total + guest[of], 0n);
  return {
    host: host.host,
    isCoordinator: host.isCoordinator,
    available: host.total - host.overhead - sum('overhead'),
    staticMin: sum('staticMin'),
    dynamicMin: sum('dynamicMin'),
    dynamicMax: sum('dynamicMax'),
    staticMax: sum('staticMax'),
  };
};

/** How good a host is by some measure: the higher the better, and not at all below zero. */
export type Category = (host: HostSummary) => bigint;

/** The coordinator has other things to do as well, so it counts for about half. */
const biased = (value: bigint, host: HostSummary, bias: boolean): bigint =>
  bias && host.isCoordinator ? (value - 1n) / 2n : value;

/** All guests can have all that they may ever ask for. */
export const definite =
  (bias: boolean): Category =>
  (host) =>
    biased(host.available - host.staticMax, host, bias);

/** All guests can have all that they ask for now. */
export const probable =
  (bias: boolean): Category =>
  (host) =>
    biased(host.available - host.dynamicMax, host, bias);

const ratioMax = 1_000n;

/** Guests fit when they are compressed: valued by the share of their range that is left to them. */
export const possible: Category = ({ available, dynamicMin, dynamicMax }) => {
  if (available >= dynamicMax) return ratioMax;
  if (available < dynamicMin) return -1n;
  return (ratioMax * (available - dynamicMin)) / (dynamicMax - dynamicMin);
};

/** One of the hosts that the VM is meant for, where it can be made to fit. */
export const preferred =
  (hosts: readonly string[]): Category =>
  (host) =>
    hosts.includes(host.host) ? possible(host) : -1n;

export interface Selection {
  /** Hosts that the VM is meant for: tried before all others. */
  readonly preferred: readonly string[];
  /** Whether the VM can run there for all other reasons. */
  readonly isFit: (host: string) => boolean;
  /** At least 0 and below 1; near 0 for the best of the hosts that will do. */
  readonly random: () => number;
  readonly coordinatorBias: boolean;
}

/** The element that a random number points at, and the others. Throws when there is none to take. */
export const takeRandom = <T>(
  items: readonly T[],
  random: () => number,
): readonly [taken: T, rest: readonly T[]] => taken(items, randomIndex(items, random));

export const randomIndex = (items: readonly unknown[], random: () => number): number => {
  const value = random();
  if (items.length === 0) throw new RangeError('There is nothing to choose from');
  if (!(value >= 0 && value < 1)) throw new RangeError(`${value} is not at least 0 and below 1`);
  return Math.floor(items.length * value);
};

/**
 * The elements before a position and those from there on. Throws when it is not within the list or at its
 * end.
 */
export const cutAt = <T>(
  items: readonly T[],
  at: number,
): readonly [before: readonly T[], from: readonly T[]] => {
  if (!Number.isInteger(at) || at < 0 || at > items.length)
    throw new RangeError(`There is no position ${at}`);
  return [items.slice(0, at), items.slice(at)];
};

export const taken = <T>(items: readonly T[], at: number): readonly [taken: T, rest: readonly T[]] => {
  const [before, from] = cutAt(items, at);
  if (from.length === 0) throw new RangeError(`There is no element ${at}`);
  return [from[0] as T, [...before, ...from.slice(1)]];
};

const selectWithin = (hosts: readonly HostSummary[], by: Selection): string | undefined => {
  let left = hosts;
  while (left.length > 0) {
    const [chosen, rest] = takeRandom(left, by.random);
    if (by.isFit(chosen.host)) return chosen.host;
    left = rest;
  }
  return undefined;
};

const better = (a: readonly [unknown, bigint], b: readonly [unknown, bigint]): number =>
  a[1] === b[1] ? 0 : a[1] > b[1] ? -1 : 1;

/**
 * A host of the best category that has one that is fit. Hosts found unfit are not asked again by a
 * later category. Undefined: the VM cannot run anywhere.
 */
export const selectHost = (hosts: readonly HostSummary[], by: Selection): string | undefined => {
  const { coordinatorBias: bias } = by;
  let left = hosts;
  for (const category of [preferred(by.preferred), definite(bias), probable(bias), possible]) {
    const valued = left.map((host) => [host, category(host)] as const).sort(better);
    const within = valued.filter(([, value]) => value >= 0n).map(([host]) => host);
    const selected = selectWithin(within, by);
    if (selected !== undefined) return selected;
    left = valued.filter(([, value]) => value < 0n).map(([host]) => host);
  }
  return undefined;
};

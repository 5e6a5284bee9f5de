import { Fault } from '../std/fault.ts';

/** Where a watcher of events has got to. */
export interface EventToken {
  /** May be any that a client makes up, and is then before the start or in the future. */
  readonly generation: bigint;
  /** The same for messages, so that a client can begin to hear of them later. Kept while it does not. */
  readonly messages: bigint;
}

/** Decimal, hexadecimal, octal or binary, of bounded length. */
const prefixed = String.raw`0[xX][\da-fA-F][\da-fA-F_]{0,24}|0[oO][0-7][0-7_]{0,32}|0[bB][01][01_]{0,80}`;
const number = String.raw`[+-]?(?:${prefixed}|\d[\d_]{0,24})`;
const tokenForm = new RegExp(`^(${number}),(${number})$`);
const int64Max = 2n ** 63n - 1n;

/** Throws EVENT_FROM_TOKEN_PARSE_FAILURE. An empty token is the start of everything. */
export const parseToken = (text: string): EventToken => {
  if (text === '') return { generation: 0n, messages: 0n };
  const [generation, messages] = (tokenForm.exec(text) ?? []).slice(1).map(numberOf);
  if (generation === undefined || messages === undefined || !isInt64(generation) || !isInt64(messages)) {
    throw new Fault('EVENT_FROM_TOKEN_PARSE_FAILURE', [text]);
  }
  return { generation, messages };
};

const numberOf = (text: string): bigint => {
  const [, sign, digits = ''] = /^([+-]?)(.*)$/.exec(text.replaceAll('_', '').toLowerCase()) ?? [];
  const n = BigInt(digits);
  // Other bases than ten write the 64 bits themselves.
  const value = /^0[xob]/.test(digits) && n < 2n ** 64n ? BigInt.asIntN(64, n) : n;
  return sign === '-' ? -value : value;
};

const isInt64 = (n: bigint): boolean => n <= int64Max && n >= -int64Max - 1n;

/** Of one length, so that tokens can be compared as texts. */
export const tokenText = ({ generation, messages }: EventToken): string =>
  `${padded(generation)},${padded(messages)}`;

const padded = (n: bigint): string =>
  n < 0n ? `-${String(-n).padStart(19, '0')}` : String(n).padStart(20, '0');

/** Entries of one subscription. Each is looked up for each change, so they cost memory and not time. */
export const subscriptionEntriesMax = 4_096;

/** What a watcher wants to hear of. Class names are in lower case. */
export interface Subscription {
  readonly all: boolean;
  readonly classes: ReadonlySet<string>;
  /** `vm/OpaqueRef:...`: single objects. */
  readonly objects: ReadonlySet<string>;
  /** The same for every subscription to the same things. */
  readonly key: string;
  /** Nothing but tasks, whose watchers wait for a result and want it at once. */
  readonly tasksOnly: boolean;
}

/**
 * `*` alone is everything: before a slash it is the name of no class. Only the first slash splits, as
 * references may hold any character.
 */
export const subscriptionOf = (entries: readonly string[]): Subscription => {
  if (entries.length > subscriptionEntriesMax) {
    throw new Fault('EVENT_SUBSCRIPTION_PARSE_FAILURE', [
      `at most ${subscriptionEntriesMax} classes and objects, got ${entries.length}: ` +
        'subscribe to whole classes',
    ]);
  }
  const read = entries.map((entry) => {
    const at = entry.indexOf('/');
    return at < 0 ? entry.toLowerCase() : entry.slice(0, at).toLowerCase() + entry.slice(at);
  });
  const classes = new Set(read.filter((one) => !one.includes('/')));
  const objects = new Set(read.filter((one) => one.includes('/')));
  return {
    all: classes.has('*'),
    classes,
    objects,
    key: [...classes, ...objects].toSorted().join(' '),
    tasksOnly: read.length > 0 && read.every((one) => one === 'task' || one.startsWith('task/')),
  };
};

export const delivers = ({ all, classes, objects }: Subscription, cls: string, ref: string): boolean =>
  all || classes.has(cls) || (objects.size > 0 && objects.has(`${cls}/${ref}`));

/** Two subscriptions as one, or one without the entries of the other. */
export const entriesOf = ({ classes, objects }: Subscription): readonly string[] => [...classes, ...objects];

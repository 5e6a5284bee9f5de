import type { PeerState } from '../mesh/peer.ts';
import type { Ref } from '../model/types.ts';
import type { ActorState, Objects } from '../objects/runtime.ts';
import { Fault } from '../std/fault.ts';
import type { Position } from '../store/epochs.ts';
import type { Store } from '../store/store.ts';
import { hostsOf, type PoolContext } from './context.ts';
import type { Pool } from './pool.ts';
import { fieldsOf, textOf } from './protocol.ts';

// What developers see of a running host. Nothing of it is kept while nobody looks, and no argument of a call
// is ever shown.

export interface Inspection {
  readonly host: { readonly ref: string; readonly name: string; readonly address: string };
  readonly role: 'coordinator' | 'member' | 'seeking';
  readonly leader: string;
  readonly epoch: number;
  readonly store: Position & { readonly horizon: number; readonly rows: number };
  /** How many generations the coordinator is ahead, as far as it has told. */
  readonly actors: readonly ActorView[];
  readonly links: readonly LinkView[];
  readonly tasks: readonly TaskView[];
}

export interface ActorView {
  readonly key: string;
  readonly name: string;
  readonly running: readonly string[];
  readonly waiting: readonly string[];
  readonly queued: number;
  /** Since somebody looks; undefined at the first look. */
  readonly messages: number;
  readonly messagesPerSecond: number;
  readonly tookMs: number;
}

export interface LinkView {
  readonly host: string;
  readonly name: string;
  readonly state: 'up' | 'down';
  readonly why: string;
  readonly sinceMs: number;
  readonly roundTripMs: number | undefined;
  readonly callsOut: number;
  readonly callsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly framesIn: number;
  readonly framesOut: number;
}

export interface TaskView {
  readonly ref: string;
  readonly label: string;
  readonly status: string;
  readonly progress: number;
  readonly host: string;
  readonly parent: string;
}

/** One message that an object handled. */
export interface Handled {
  readonly atMs: number;
  readonly what: string;
  readonly tookMs: number;
}

/** Objects of which messages are counted, and messages that are kept of each. */
export const objectsObservedMax = 10_000;
export const messagesKeptMax = 50;
/** Observation ends when nobody has looked for this long. */
const attentionMs = 30_000;
const askMs = 5_000;
export const actorsShownMax = 1_000;
const tasksShownMax = 1_000;

export interface Inspector {
  /** This host, or another by its reference, name or address. */
  inspect(host: string): Promise<Inspection>;
  /** The last messages of one object, by reference, on the host where it lives. */
  messages(host: string, ref: string): Promise<readonly Handled[]>;
  /** All hosts that can be reached. */
  all(): Promise<readonly Inspection[]>;
}

interface Counted {
  count: number;
  tookMs: number;
  readonly kept: Handled[];
}

/** Where a host stands among the others. */
export interface HostPlace {
  readonly role: Inspection['role'];
  readonly leader: Ref<'host'>;
  readonly epoch: number;
  readonly links: readonly PeerState[];
}

/** What one host says of itself. */
export interface OwnInspector {
  inspect(): Inspection;
  messages(ref: string): readonly Handled[];
}

type OwnContext = Pick<PoolContext, 'clock' | 'store' | 'replica' | 'host'>;

export const ownInspectorOf = (
  context: OwnContext,
  place: () => HostPlace,
  objects: Objects,
): OwnInspector => {
  const observation = observationOf(context, objects);
  return {
    inspect: () => inspectionOf(context, place(), objects, observation.look()),
    messages: observation.messages,
  };
};

/**
 * The host that people mean: by reference, uuid, name or address; none named is `self`. Throws
 * HANDLE_INVALID.
 */
export const hostMeant = (store: Store, wanted: string, self: Ref<'host'>): Ref<'host'> => {
  if (wanted === '') return self;
  for (const [ref, { uuid, name_label, address, hostname }] of store.committed.all('host')) {
    if ([ref, uuid, name_label, address, hostname].includes(wanted)) return ref;
  }
  throw new Fault('HANDLE_INVALID', ['host', wanted]);
};

const roles = {
  starts: 'seeking',
  seeks: 'seeking',
  follows: 'member',
  leads: 'coordinator',
  stopped: 'seeking',
} as const;

export const inspectorOf = (context: PoolContext, pool: Pool, objects: Objects): Inspector => {
  const { mesh, host, store, state } = context;
  const place = (): HostPlace => ({
    role: roles[pool.duty.kind],
    leader: pool.places.coordinator(),
    epoch: state.current?.epoch ?? 0,
    links: mesh.peers(),
  });
  const own = ownInspectorOf(context, place, objects);
  mesh.serve('inspect', async () => own.inspect());
  mesh.serve('messages', async (payload) => own.messages(textOf(fieldsOf(payload)['ref'])));

  const find = (wanted: string): Ref<'host'> => hostMeant(store, wanted, host);
  const ask = async (to: Ref<'host'>, name: string, payload: unknown): Promise<unknown> => {
    if (!context.isUp(to)) throw new Fault('HOST_OFFLINE', [to]);
    return mesh.call(to, name, payload, { timeoutMs: askMs });
  };
  const inspect = async (wanted: string): Promise<Inspection> => {
    const to = find(wanted);
    return to === host ? own.inspect() : ((await ask(to, 'inspect', {})) as Inspection);
  };
  return {
    inspect,
    messages: async (wanted, ref) => {
      const to = find(wanted);
      return to === host ? own.messages(ref) : ((await ask(to, 'messages', { ref })) as readonly Handled[]);
    },
    all: async () => {
      const reachable = hostsOf(context).filter((one) => one === host || context.isUp(one));
      const asked = await Promise.all(reachable.map((one) => inspect(one).catch(() => undefined)));
      return asked.flatMap((one) => one ?? []);
    },
  };
};

interface Observation {
  look(): { readonly seconds: number; of(key: string): Counted | undefined };
  messages(ref: string): readonly Handled[];
}

/** Counts messages while somebody looks. */
const observationOf = ({ clock }: OwnContext, objects: Objects): Observation => {
  const counted = new Map<string, Counted>();
  let sinceMs: number | undefined;
  let cancel = (): void => {};

  const handled = (key: string, message: unknown, tookMs: number): void => {
    let of = counted.get(key);
    if (of === undefined) {
      if (counted.size >= objectsObservedMax) return;
      of = { count: 0, tookMs: 0, kept: [] };
      counted.set(key, of);
    }
    of.count += 1;
    of.tookMs += tookMs;
    of.kept.push({ atMs: clock.now(), what: what(message), tookMs });
    if (of.kept.length > messagesKeptMax) of.kept.shift();
  };
  const attend = (): void => {
    cancel();
    if (sinceMs === undefined) {
      sinceMs = clock.monotonicMs();
      objects.observe({ nowMs: () => clock.monotonicMs(), handled });
    }
    cancel = clock.after(attentionMs, () => {
      objects.observe(undefined);
      counted.clear();
      sinceMs = undefined;
    });
  };
  return {
    look: () => {
      attend();
      return {
        seconds: (clock.monotonicMs() - (sinceMs ?? clock.monotonicMs())) / 1000,
        of: (key) => counted.get(key),
      };
    },
    messages: (ref) => {
      attend();
      const key = [...counted.keys()].find((one) => one.endsWith(`/${ref}`));
      return key === undefined ? [] : (counted.get(key)?.kept ?? []);
    },
  };
};

/** What kind of message it was, and nothing of what it carried. */
const what = (message: unknown): string => {
  const { type, asked } = message as { type?: unknown; asked?: { operation?: unknown } };
  return asked?.operation === undefined ? String(type) : `${type} ${asked.operation}`;
};

const inspectionOf = (
  context: OwnContext,
  { role, leader, epoch, links }: HostPlace,
  objects: Objects,
  look: ReturnType<Observation['look']>,
): Inspection => {
  const { store, host } = context;
  const row = store.committed.get('host', host);
  const named = (ref: string): string => store.committed.get('host', ref as Ref<'host'>)?.name_label ?? ref;
  let rows = 0;
  for (const { count } of store.tables.values()) rows += count;
  return {
    host: { ref: host, name: row?.name_label ?? '', address: row?.address ?? '' },
    role,
    leader: named(leader),
    epoch,
    store: { ...context.replica.position, horizon: store.horizon, rows },
    actors: objects
      .look()
      .slice(0, actorsShownMax)
      .map((actor) => actorView(context, actor, look)),
    links: links.map((peer) => linkView(peer, named(peer.host))),
    tasks: tasksOf(context, named),
  };
};

const actorView = (
  { store }: OwnContext,
  { key, running, waiting, queued }: ActorState,
  { seconds, of }: ReturnType<Observation['look']>,
): ActorView => {
  const [cls = '', ref = ''] = key.split('/');
  const label: unknown = store.tables.get(cls)?.committed(ref)?.record['name_label'];
  const counted = of(key);
  const operation = (one: { readonly operation: string | undefined }): string => one.operation ?? 'work';
  return {
    key,
    name: typeof label === 'string' ? label : '',
    running: running.map(operation),
    waiting: waiting.map(operation),
    queued,
    messages: counted?.count ?? 0,
    messagesPerSecond: seconds > 0 ? (counted?.count ?? 0) / seconds : 0,
    tookMs: counted?.tookMs ?? 0,
  };
};

const linkView = (peer: PeerState, name: string): LinkView => ({
  host: peer.host,
  name,
  state: peer.state,
  why: peer.why,
  sinceMs: peer.sinceMs,
  roundTripMs: peer.roundTripMs,
  callsOut: peer.callsOut,
  callsIn: peer.callsIn,
  bytesIn: peer.traffic.in.bytes,
  bytesOut: peer.traffic.out.bytes,
  framesIn: peer.traffic.in.frames,
  framesOut: peer.traffic.out.frames,
});

const tasksOf = ({ store }: OwnContext, named: (ref: string) => string): readonly TaskView[] =>
  [...store.committed.all('task')]
    .filter(([, { status }]) => status === 'pending' || status === 'cancelling')
    .slice(0, tasksShownMax)
    .map(([ref, { name_label, status, progress, resident_on, subtask_of }]) => ({
      ref,
      label: name_label,
      status,
      progress,
      host: named(resident_on),
      parent: subtask_of,
    }));

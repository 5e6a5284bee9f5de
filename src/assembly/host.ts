import { bootstrap } from '../../actors/pool/bootstrap.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { repositoryWatch } from '../../actors/sr/watch.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { autoStart } from '../../actors/vm/auto-start.ts';
import { leakWatch } from '../../actors/vm/leaks.ts';
import type { Ref } from '../model/types.ts';
import type { Availability } from '../objects/availability.ts';
import { deriveInPlace } from '../objects/derive-all.ts';
import { storeRules } from '../objects/derive-rows.ts';
import { roomOf } from '../objects/room.ts';
import { peerRef } from '../pool/context.ts';
import { openDiskOn } from '../pool/disks.ts';
import { inspectorOf } from '../pool/inspection.ts';
import type { SharedCredentials } from '../pool/membership.ts';
import { internalClasses } from '../pool/rows.ts';
import { leaveMessage } from '../rules/messages.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { type OpenedStore, openStore } from '../store/store.ts';
import { type Assembled, assemble } from './assemble.ts';
import type { Closing } from './closing.ts';
import { housekeeping } from './housekeeping.ts';
import type { Doors, Host, HostCredentials, HostParts } from './parts.ts';
import { type HostPool, openPool } from './pool.ts';
import { type Around, hostRows, poolRows } from './prepare.ts';
import { repeated } from './repeated.ts';
import type { Reviving } from './reviving.ts';

/** The rows of a host that was opened, and which of them is its own. */
interface Database extends OpenedStore {
  readonly host: Ref<'host'>;
  /** Fields that follow from rows were set as the rows were read. */
  readonly derived: boolean;
  /** Whose objects wait for rows to change. */
  serve(assembled: Assembled): void;
}

export interface Started<D extends Doors> {
  readonly host: Host;
  readonly doors: D;
}

/**
 * Starts a host and resolves once clients can use it. Everything that it opens is added to `opened` as it is
 * opened, also when the start fails half-way, and is closed in the opposite order.
 */
export const startHost = async <D extends Doors>(
  parts: HostParts<D>,
  opened: Closing,
): Promise<Started<D>> => {
  const { host, derived, announce, servedOn, preparation } = await openHost(parts, opened);
  const doors = await parts.doors(host);
  opened.add('doors', doors);
  servedOn(doors);
  const stopped = new AbortController();
  opened.add('start', { close: async () => stopped.abort(new Error('The host is stopped while it starts')) });
  await takePlace(parts, { host, announce, doors, preparing: preparation.ended, signal: stopped.signal });
  const leads = (): boolean => host.pool.duty.kind === 'leads';
  const rows = (): Promise<Reviving> => hostRows(aroundOf(parts), { ...host, leads, derived });
  opened.add('rows of the host', await committed(parts, stopped.signal, rows));
  preparation.end();
  const full = (): Promise<unknown> => alertOf(host, 'HOST_DATA_FOLDER_NEARLY_FULL', nearlyFull);
  const kept = { ...host, clock: parts.clock, leads, measured: () => [host], full };
  opened.add('housekeeping', housekeeping(kept));
  // The pool knows the plugins of the host that leads.
  const look = async (): Promise<void> => (leads() ? smRows(host) : undefined);
  const plugins = parts.watchPlugins?.(look);
  if (plugins !== undefined) opened.add('watched plugins', plugins);
  doors.open();
  return { host, doors };
};

interface Opened extends Pick<HostPool, 'announce'> {
  readonly host: Host;
  readonly derived: boolean;
  readonly servedOn: (doors: Pick<Doors, 'httpsPort' | 'nbd'>) => void;
  readonly preparation: Preparation;
}

/** Over once the rows of the host say what is there: clients and other hosts are served from then on. */
interface Preparation {
  readonly over: boolean;
  readonly ended: Promise<void>;
  end(): void;
}

const preparationOf = (): Preparation => {
  let over = false;
  let resolve = (): void => {};
  const ended = new Promise<void>((done) => {
    resolve = done;
  });
  return {
    get over() {
      return over;
    },
    ended,
    end: () => {
      over = true;
      resolve();
    },
  };
};

/** Rows, links and objects. Nothing has a part in the pool yet, and nobody is served. */
const openHost = async (parts: HostParts, opened: Closing): Promise<Opened> => {
  const database = await openDatabase(parts, opened);
  const { store, derived } = database;
  const served = servedAt(parts, database);
  let assembled: Assembled | undefined;
  const place = await openPool(
    parts,
    {
      ...database,
      addressOf: served.clientAddress,
      credentials: endingSessions(parts.credentials, (user) => assembled?.services.localSessions.endOf(user)),
      cancel: (task) => assembled?.services.cancel(task) === true,
      onLead: async () => {
        if (assembled === undefined) return;
        await poolRows(aroundOf(parts), assembled);
        await parts.told?.leads?.(assembled);
      },
      alert: async (name, body) => assembled && alertOf(assembled, name, body),
      onDead: (dead) => endPendingTasks(store, parts.clock.now(), (one) => one === dead),
    },
    opened,
  );
  const preparation = preparationOf();
  const made = openObjects(parts, {
    ...database,
    ...place,
    preparation,
    authority: served.authority,
    nbd: served.nbd,
  });
  assembled = made;
  database.serve(made);
  opened.add('objects', { close: async () => made.objects.stop() });
  const { context, pool, membership, takingIn, announce } = place;
  const inspector = inspectorOf(context, pool, made.objects);
  const { authorityOf } = served;
  const host = {
    ...made,
    context,
    pool,
    membership,
    takingIn,
    inspector,
    authorityOf,
    leaks: leakWatch(made),
    repositories: repositoryWatch(made),
  };
  return { host, derived, announce, servedOn: served.on, preparation };
};

const nearlyFull =
  'The disk of the data folder is nearly full: calls that bring something new are refused with ' +
  'OUT_OF_SPACE until there is room. What ends work and what gives room back goes on.';

/** People have to know of it. */
const alertPriority = 2n;

const alertOf = ({ store, services }: Assembled, name: string, body: string): Promise<unknown> =>
  store.commit((tx) => {
    const obj_uuid = tx.get('host', services.host)?.uuid ?? '';
    leaveMessage(tx, services, { name, priority: alertPriority, cls: 'Host', obj_uuid, body });
  });

const aroundOf = (parts: HostParts): Around => ({ ...parts, name: parts.poolName });

/**
 * Has the VMs started that start with their host, once it was switched on. Not awaited: nobody waits for
 * guests.
 */
export const startGuests = ({ invoker, services }: Pick<Assembled, 'invoker' | 'services'>): void => {
  autoStart({ invoker, services }).catch((error: unknown) => {
    services.log.error({ error }, 'VMs did not start with their host');
  });
};

const openDatabase = async (parts: HostParts, opened: Closing): Promise<Database> => {
  const { catalog, state, log, clock, random, makers } = parts;
  const former = Math.max(state.current?.epoch ?? 0, parts.epochMin);
  // A host that was put out of its pool starts as one that is new.
  if (state.current?.change === 'ejected') {
    await parts.database.forget();
    await state.forget();
  }
  let assembled: Assembled | undefined;
  const { store, replica } = (makers?.store ?? openStore)({
    classes: [...catalog.classes, ...internalClasses],
    durable: parts.database.durable(),
    log,
    ...storeRules(catalog),
    onStaged: (changes) => assembled?.objects.staged(changes),
    setAside: (diverged) => parts.diverged.keep(diverged),
  });
  opened.add('database', replica);
  if (state.current?.change === 'joins') {
    const { change: _, ...joined } = state.current;
    await replica.disown();
    await state.save(joined);
  }
  const derived = state.current?.role === 'coordinator';
  if (derived) deriveInPlace({ catalog, store });
  const { address, version, poolName: name } = parts;
  const first = async () => {
    const facts = await parts.facts();
    return (await bootstrap({ store, clock, random, facts, name, address, version })).host;
  };
  const host = state.current?.host ?? (await first());
  if (state.current === undefined) await state.save({ host, role: 'coordinator', epoch: former + 1, led: 0 });
  return {
    ...{ store, replica, host, derived },
    serve: (made) => {
      assembled = made;
    },
  };
};

const openObjects = (
  parts: HostParts,
  on: Pick<Database, 'store' | 'host'> &
    HostPool & {
      readonly authority: () => string;
      readonly nbd: () => Doors['nbd'];
      readonly preparation: Pick<Preparation, 'over'>;
    },
): Assembled => {
  const { catalog, clock, random, log, makers, waitMs, guestKernels, hostPlugins, processes, web } = parts;
  const { hypervisor, storage, network, credentials, facts, restart, space, fingerprint, otherPools } = parts;
  const { files } = parts;
  const { store, host, pool, membership, migrationTo, authority, nbd, context } = on;
  const { keepNext } = parts.database;
  return (makers?.objects ?? assemble)({
    catalog,
    places: pool.places,
    services: {
      ...{ clock, random, log, hypervisor, storage, network, credentials, facts, restart },
      ...{ store, host, membership, migrationTo, authority, nbd, fingerprint },
      ...(otherPools !== undefined && { otherPools }),
      ...(web !== undefined && { web }),
      ...(space !== undefined && { room: roomOf(space) }),
      ...(keepNext !== undefined && { keepNext }),
      ...(guestKernels !== undefined && { guestKernels }),
      ...(hostPlugins !== undefined && { hostPlugins }),
      ...(files !== undefined && { files }),
      ...(processes !== undefined && { processes }),
      availability: () => (on.preparation.over ? pool.availability() : unprepared(pool.availability())),
      onAvailability: pool.onAvailability,
      diskOn: (to, wanted, signal) => openDiskOn(context, to, wanted, signal),
    },
    ...(waitMs !== undefined && { waitMs }),
  });
};

/**
 * Of a host whose rows do not say yet what is there: a pool may choose it meanwhile, but no client is served.
 * Where they are to go else they are told all the same.
 */
const unprepared = (availability: Availability): Availability =>
  availability.coordinator === undefined && availability.emergency === undefined
    ? { ...availability, member: true, emergency: new Fault('HOST_STILL_BOOTING') }
    : availability;

/**
 * Resolves once this host leads or follows. A member that finds no coordinator yet tells clients so
 * meanwhile.
 */
const takePlace = async (
  parts: HostParts,
  {
    host,
    announce,
    doors,
    preparing,
    signal,
  }: Pick<Opened, 'host' | 'announce'> & {
    readonly doors: Doors;
    readonly preparing: Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> => {
  await host.pool.start(host.invoker, preparing);
  if (host.pool.duty.kind !== 'leads') doors.open();
  const stop = parts.clock.after(patienceMs, () => parts.told?.waits?.());
  await committed(parts, signal, () => announce(doors.httpsPort)).finally(stop);
};

const patienceMs = 5_000;

/** A step of a start whose commits fail is done this often at most: for a minute. */
const stepsMax = 60;
const againMs = 1_000;

/** Which host leads the pool may change in the middle. What is no fault fails the start at once. */
const committed = <T>(
  { clock, log }: Pick<HostParts, 'clock' | 'log'>,
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> =>
  repeated(stepsMax, step, async (error) => {
    if (!(error instanceof Fault) || signal.aborted) throw error;
    log.warn({ error }, 'A step of the start failed; it is done again');
    await sleep(clock, againMs, signal);
  });

/** Whoever's password another host has changed begins anew here, too. */
const endingSessions = (
  { exported, verifier, adopt }: HostCredentials,
  endSessionsOf: (user: string) => void,
): SharedCredentials => ({
  exported,
  verifier,
  adopt: async (users) => {
    for (const user of await adopt(users)) endSessionsOf(user);
  },
});

/** Where hosts are reached by clients. */
const servedAt = ({ httpsPort: given, address }: HostParts, { store, host }: Database) => {
  let httpsPort = given;
  let nbd: Doors['nbd'];
  const portOf = (other: Ref<'host'>): number =>
    Number(store.committed.get('xenact_peer', peerRef(other))?.apiPort ?? httpsPort);
  const addressOf = (other: Ref<'host'>): string => store.committed.get('host', other)?.address ?? '';
  return {
    /** Told once it is known: the port may have been any free one. */
    on: (doors: Pick<Doors, 'httpsPort' | 'nbd'>): void => {
      ({ httpsPort, nbd } = doors);
    },
    nbd: () => nbd,
    authority: (): string => authorityOf(store.latest.get('host', host)?.address ?? address, httpsPort),
    authorityOf: (other: Ref<'host'>): string => authorityOf(addressOf(other), portOf(other)),
    /**
     * Where a client of this host is sent: clients keep the port that they came by, so it is only named where
     * the other host has another.
     */
    clientAddress: (other: Ref<'host'>): string =>
      portOf(other) === portOf(host) ? addressOf(other) : authorityOf(addressOf(other), portOf(other)),
  };
};

const authorityOf = (address: string, port: number): string => {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === 443 ? host : `${host}:${port}`;
};

import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { freeAll } from '../objects/busy.ts';
import { failTasksOf } from '../objects/tasks.ts';
import { connectToShared, forgetConnection } from '../rules/device-config.ts';
import { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';
import { type PoolContext, peerRef } from './context.ts';
import type { OwnPeer } from './peers.ts';
import { countOf, fieldsOf, flagOf, listOf, ProtocolError, protocolVersions, textOf } from './protocol.ts';
import type { PeerAddress } from './state.ts';

/** What a host that joins hands to the coordinator: itself, how it is reached, and what it has. */
export interface JoinRequest {
  readonly host: Ref<'host'>;
  readonly versions: readonly [min: number, max: number];
  readonly peer: OwnPeer;
  readonly force: boolean;
  readonly rows: readonly JoinRow[];
}

export type JoinRow = readonly [cls: string, ref: string, fields: AnyRecord];

/** What it gets: where it belongs from now on. */
export interface JoinAnswer {
  readonly coordinator: PeerAddress;
  readonly epoch: number;
  /** The other hosts, so that one is found that knows who leads, whoever does by then. */
  readonly others: readonly PeerAddress[];
  /** Who may log in, as the credentials are kept. */
  readonly credentials: string;
}

/** Rows of these classes are the pool's and stay behind, or come about anew. */
const leftBehind: ReadonlySet<string> = new Set([
  'pool',
  'session',
  'task',
  'user',
  'role',
  'subject',
  'message',
  'SM',
  'secret',
  'xenact_peer',
  'xenact_step',
]);

export const joinRowsMax = 200_000;

/** Throws the reason why this host may not join another pool. */
export const assertCanJoin = (view: View, host: Ref<'host'>): void => {
  if ([...view.all('host')].length > 1) throw new Fault('JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS');
  for (const [, vm] of view.all('VM')) {
    if (vm.is_control_domain) continue;
    if (vm.power_state === 'Running' || vm.power_state === 'Paused') {
      throw new Fault('JOINING_HOST_CANNOT_HAVE_RUNNING_VMS');
    }
    if (vm.power_state === 'Suspended') throw new Fault('JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS');
    if (vm.current_operations.size > 0) {
      throw new Fault('JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS');
    }
  }
  for (const [, { shared }] of view.all('SR')) {
    if (shared) throw new Fault('JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS');
  }
  view.require('host', host);
};

/** `hosts`: how many the pool has already. */
export const joinsItself = (hosts: number): Fault =>
  new Fault('OPERATION_NOT_ALLOWED', [
    hosts > 1 ? 'Host is already part of a pool' : 'Host cannot become slave of itself',
  ]);

/** Templates that every pool has of its own are not handed over. */
const isDefaultTemplate = (cls: string, record: AnyRecord): boolean =>
  cls === 'VM' && record['is_default_template'] === true;

/** What a host brings along: its own rows, its local storage and its halted VMs. */
export const rowsToBring = (store: Store): readonly JoinRow[] => {
  const rows: JoinRow[] = [];
  for (const [cls, { schema, entries }] of store.tables) {
    if (!schema.persist || leftBehind.has(cls)) continue;
    for (const { ref, committed } of entries.values()) {
      if (committed === undefined || !committed.durable || isDefaultTemplate(cls, committed.record)) continue;
      const fields = schema.storedFields.map((field) => [field, committed.record[field]] as const);
      rows.push([cls, ref, Object.fromEntries(fields)]);
    }
  }
  if (rows.length > joinRowsMax) {
    throw new Fault('INTERNAL_ERROR', [`A host joins with at most ${joinRowsMax} objects: export VMs first`]);
  }
  return rows;
};

export const joinRequestOf = (value: unknown): JoinRequest => {
  const { host, versions, peer, force, rows } = fieldsOf(value);
  const { address, port, pins, apiPort } = fieldsOf(peer);
  const [min, max] = listOf(versions).map(countOf);
  const listed = listOf(rows);
  if (listed.length > joinRowsMax || typeof port !== 'bigint' || typeof apiPort !== 'bigint') {
    throw new ProtocolError('too many rows, or no ports');
  }
  return {
    host: textOf(host) as Ref<'host'>,
    versions: [min ?? 0, max ?? 0],
    peer: { address: textOf(address), port, apiPort, pins: listOf(pins).map(textOf) },
    force: flagOf(force),
    rows: listed.map((row): JoinRow => {
      const [cls, ref, fields] = listOf(row);
      return [textOf(cls), textOf(ref), fieldsOf(fields)];
    }),
  };
};

/** Why the pool does not take the host, as far as its coordinator can tell. */
const refusalOf = (tx: Tx, { host, versions, peer, force, rows }: JoinRequest): Fault | undefined => {
  const [min, max] = versions;
  if (max < protocolVersions[0] || min > protocolVersions[1]) {
    return new Fault('POOL_JOINING_HOST_MUST_HAVE_SAME_PRODUCT_VERSION');
  }
  const joining = rows.find(([cls, ref]) => cls === 'host' && ref === host)?.[2];
  if (joining === undefined) return new Fault('JOINING_HOST_SERVICE_FAILED');
  for (const [other, { address, port }] of tx.all('xenact_peer')) {
    if (other !== peerRef(host) && address === peer.address && port === peer.port) {
      return new Fault('INTERNAL_ERROR', [
        `Another host of the pool is reached at ${address}:${port} already: give the joining host another ` +
          `--listen or --mesh-port`,
      ]);
    }
  }
  const vendors = new Set([...tx.all('host')].map(([, { cpu_info }]) => cpu_info.get('vendor')));
  const own = joining['cpu_info'];
  const vendor = own instanceof Map ? String(own.get('vendor')) : '';
  if (!force && vendors.size > 0 && !vendors.has(vendor)) {
    return new Fault('HOSTS_NOT_HOMOGENEOUS', ['The processors are of different makers']);
  }
  return undefined;
};

/**
 * Takes a host into the pool: its rows and how it is reached, in one commit. A repetition changes nothing.
 */
export const admit = (
  {
    store,
    random,
    limits: { hostsMax },
  }: Pick<PoolContext, 'store' | 'random'> & {
    readonly limits: Pick<PoolContext['limits'], 'hostsMax'>;
  },
  request: JoinRequest,
): Promise<void> =>
  store.commit((tx) => {
    const refusal = refusalOf(tx, request);
    if (refusal !== undefined) throw refusal;
    const { host, peer, rows } = request;
    const isNew = tx.get('host', host) === undefined;
    if (isNew && [...tx.all('host')].length >= hostsMax) {
      throw new Fault('INTERNAL_ERROR', [`A pool has at most ${hostsMax} hosts`]);
    }
    const taken = sharedNetworks(tx, rows);
    for (const [cls, ref, fields] of rows) {
      const schema = store.schemas.get(cls);
      if (schema === undefined || leftBehind.has(cls) || taken.has(ref)) continue;
      if (tx.get(cls as ClassName, ref as Ref<any>) !== undefined) continue;
      const known = Object.entries(fields).filter(([field]) => schema.stored.has(field));
      const renamed = known.map(([field, value]) => [field, renamedRefs(value, taken)] as const);
      tx.create(cls as ClassName, ref as Ref<any>, Object.fromEntries(renamed) as never);
    }
    if (isNew) connectToShared(tx, host, { random });
    const own = peerRef(host);
    if (tx.get('xenact_peer', own) === undefined) tx.create('xenact_peer', own, { host, ...peer });
    else tx.patch('xenact_peer', own, { ...peer, dead: false });
  });

/** Networks of the host that are the pool's too, since they are behind bridges of the same name. */
const sharedNetworks = (tx: Tx, rows: readonly JoinRow[]): ReadonlyMap<string, string> => {
  const bridges = new Map([...tx.all('network')].map(([ref, { bridge }]) => [bridge, ref as string]));
  return new Map(
    rows.flatMap(([cls, ref, fields]) => {
      const same = cls === 'network' ? bridges.get(String(fields['bridge'])) : undefined;
      return same === undefined ? [] : [[ref, same] as const];
    }),
  );
};

/** A value that names networks of the host names those of the pool instead. */
const renamedRefs = (value: unknown, names: ReadonlyMap<string, string>): unknown => {
  if (typeof value === 'string') return names.get(value) ?? value;
  if (Array.isArray(value)) return value.map((one) => renamedRefs(one, names));
  return value;
};

export const joinAnswerOf = (value: unknown): JoinAnswer => {
  const { coordinator, others, epoch, credentials } = fieldsOf(value);
  return {
    coordinator: peerAddressOf(coordinator),
    // An older coordinator tells of itself only.
    others: others === undefined ? [] : listOf(others).slice(0, othersMax).map(peerAddressOf),
    epoch: countOf(epoch),
    credentials: textOf(credentials),
  };
};

/** As many as its file has room for. */
const othersMax = 64;

const peerAddressOf = (value: unknown): PeerAddress => {
  const { host, address, port, pins } = fieldsOf(value);
  return {
    host: textOf(host) as Ref<'host'>,
    address: textOf(address),
    port: countOf(port),
    pins: listOf(pins).map(textOf),
  };
};

/** Guests that run on a host, or are on their way to it. */
const guestsOf = (tx: Tx, host: Ref<'host'>): boolean =>
  [...tx.all('VM')].some(
    ([, vm]) => !vm.is_control_domain && (vm.resident_on === host || vm.scheduled_to_be_resident_on === host),
  );

/** From this commit on nothing is started there. Throws when something runs there. Answers how it was. */
export const closeHost = (tx: Tx, host: Ref<'host'>): boolean => {
  const { enabled } = tx.require('host', host);
  if (guestsOf(tx, host)) throw new Fault('HOST_HAS_RESIDENT_VMS', [host]);
  tx.patch('host', host, { enabled: false });
  return enabled;
};

/**
 * Takes a host and what only it could reach out of the rows; what hangs on them is collected, and what it was
 * doing ends.
 */
export const removeHost = (
  tx: Tx,
  host: Ref<'host'>,
  { store, clock }: Pick<PoolContext, 'store' | 'clock'>,
): void => {
  const row = tx.get('host', host);
  if (row === undefined) return;
  freeAll(store, tx, failTasksOf(tx, host, { clock }), (one) => one === host);
  for (const pbd of row.PBDs) {
    const sr = tx.get('PBD', pbd)?.SR ?? (nullRef as Ref<'SR'>);
    forgetConnection(tx, pbd);
    const repository = tx.get('SR', sr);
    if (repository === undefined || repository.shared || repository.PBDs.length > 0) continue;
    for (const vdi of repository.VDIs) tx.delete('VDI', vdi);
    tx.delete('SR', sr);
  }
  for (const pif of row.PIFs) tx.delete('PIF', pif);
  tx.delete('VM', row.control_domain);
  tx.delete('host', host);
};

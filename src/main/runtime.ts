import { join } from 'node:path';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { bootstrap } from '../../actors/pool/bootstrap.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { type Assembled, assemble, type Parts } from '../assembly/assemble.ts';
import { guestKernelsIn } from '../drivers/guest-kernels.ts';
import type { ScriptStorage } from '../drivers/storage/script-storage.ts';
import { auditOf } from '../edge/audit.ts';
import type { Ref } from '../model/types.ts';
import { catalogOf } from '../objects/catalog.ts';
import { deriveInPlace } from '../objects/derive-all.ts';
import { storeRules } from '../objects/derive-rows.ts';
import { openDiskOn } from '../pool/disks.ts';
import { peerRef } from '../pool/ground.ts';
import { inspectorOf } from '../pool/inspection.ts';
import type { SharedCredentials } from '../pool/membership.ts';
import { internalClasses } from '../pool/rows.ts';
import type { StateFile } from '../pool/state.ts';
import type { Log } from '../std/log.ts';
import { lmdbDurable } from '../store/lmdb.ts';
import { openStore, type Store } from '../store/store.ts';
import { openAuditFile } from './audit-file.ts';
import type { HostCertificate } from './certificate.ts';
import type { Closing } from './closing.ts';
import type { OpenedCredentials } from './credentials.ts';
import { hostFacts } from './host-facts.ts';
import type { HostHypervisor } from './hypervisor.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { openPool } from './pool.ts';
import { version } from './version.ts';

export interface RuntimeParts {
  readonly paths: Paths & { readonly run: string };
  readonly log: Log;
  readonly state: StateFile;
  /** The hypervisor daemon of this host obeys no epoch below this one. */
  readonly epochMin: number;
  readonly credentials: OpenedCredentials;
  readonly storage: ScriptStorage;
  readonly chosen: HostHypervisor;
  readonly tls: HostCertificate;
  readonly restart: () => void;
}

export type Runtime = Awaited<ReturnType<typeof openRuntime>>;

export const openRuntime = async (options: UpOptions, parts: RuntimeParts, opened: Closing) => {
  const { paths, log, state } = parts;
  const catalog = catalogOf(classes, behaviours);
  await machine.disk.makeFolder(paths.audit);
  const trail = await openAuditFile({ ...machine, log, folder: paths.audit });
  opened.add(trail);
  const former = Math.max(state.current?.epoch ?? 0, parts.epochMin);
  if (state.current?.change === 'ejected') await forgetPool(state, paths);
  let assembled: Assembled | undefined;
  const freeBytes = async (): Promise<bigint> => (await machine.disk.space(paths.data)).freeBytes;
  const { store, replica } = openStore({
    classes: [...classes, ...internalClasses],
    durable: lmdbDurable(paths.store, freeBytes),
    log,
    ...storeRules(catalog),
    onStaged: (changes) => assembled?.objects.staged(changes),
  });
  opened.add(replica);
  if (state.current?.change === 'joins') {
    const { change: _, ...joined } = state.current;
    await replica.disown();
    await state.save(joined);
  }
  const derived = state.current?.role === 'coordinator';
  if (derived) deriveInPlace({ catalog, store });
  const address = ownAddress(options);
  const bootstrapping = { store, ...machine, name: options.name ?? 'xenact', address, version };
  const host = state.current?.host ?? (await bootstrap({ ...bootstrapping, facts: await hostFacts() })).host;
  if (state.current === undefined) await state.save({ host, role: 'coordinator', epoch: former + 1, led: 0 });

  let httpsPort = Number(options['https-port']);
  let prepare = async (): Promise<void> => {};
  const hostPool = await openPool(
    options,
    {
      ...parts,
      credentials: endingSessions(parts.credentials, (user) => assembled?.services.localSessions.endOf(user)),
      machine,
      store,
      replica,
      state,
      host,
      addressOf: (other) => clientAddress(store, other, host, httpsPort),
      cancel: (task) => assembled?.services.cancel(task) === true,
      onLead: () => prepare(),
      onDead: (dead) => endPendingTasks(store, machine.clock.now(), (one) => one === dead),
    },
    opened,
  );
  const { pool, membership, migrationTo } = hostPool;
  const { places } = pool;
  const services: Parts['services'] = {
    ...machine,
    log,
    hypervisor: parts.chosen.hypervisor,
    storage: parts.storage,
    guestKernels: guestKernelsIn(machine.disk, options['guest-kernels']),
    credentials: parts.credentials,
    store,
    host,
    facts: hostFacts,
    authority: () => authorityOf(store.latest.get('host', host)?.address ?? address, httpsPort),
    standing: pool.standing,
    onStanding: pool.onStanding,
    membership,
    migrationTo,
    diskOn: (to, wanted, signal) => openDiskOn(hostPool.ground, to, wanted, signal),
    restart: parts.restart,
  };
  const made = assemble({ catalog, places, services });
  assembled = made;
  opened.add({ close: async () => made.objects.stop() });
  return {
    ...made,
    /** Who changed what, as it is kept. */
    trail,
    audit: auditOf({ catalog, trail, clock: machine.clock, rows: store.tables }),
    hostPool,
    /** Where the HTTPS of a host is reached, as in a URL. */
    authorityOf: (other: Ref<'host'>): string => {
      const port = store.committed.get('xenact_peer', peerRef(other))?.apiPort ?? httpsPort;
      return authorityOf(store.committed.get('host', other)?.address ?? '', Number(port));
    },
    inspector: inspectorOf(hostPool.ground, pool, made.objects),
    bootstrapping,
    /** Fields that follow from rows were set as the rows were read. */
    derived,
    /** What a coordinator does with the rows each time that it begins to be one. */
    onLead: (make: () => Promise<void>) => {
      prepare = make;
    },
    poolName: () => store.latest.only('pool')[1].name_label,
    /** Told once it is known: the port may have been any free one. */
    servedOn: (port: number) => {
      httpsPort = port;
    },
  };
};

/** Whoever's password another host has changed begins anew here, too. */
const endingSessions = (
  { exported, verifier, adopt }: OpenedCredentials,
  endSessionsOf: (user: string) => void,
): SharedCredentials => ({
  exported,
  verifier,
  adopt: async (users) => {
    for (const user of await adopt(users)) endSessionsOf(user);
  },
});

/** A host that was put out of its pool starts as one that is new. */
const forgetPool = async (state: StateFile, paths: Paths): Promise<void> => {
  for (const { name } of await machine.disk.list(paths.store))
    await machine.disk.remove(join(paths.store, name));
  await state.forget();
};

const ownAddress = ({ listen = '127.0.0.1' }: UpOptions): string =>
  listen === '0.0.0.0' || listen === '::' ? '127.0.0.1' : listen;

/**
 * Where a client of this host is sent: clients keep the port that they came by, so it is only named where
 * the other host has another.
 */
const clientAddress = (store: Store, other: Ref<'host'>, own: Ref<'host'>, httpsPort: number): string => {
  const address = store.committed.get('host', other)?.address ?? '';
  const port = Number(store.committed.get('xenact_peer', peerRef(other))?.apiPort ?? httpsPort);
  const ownPort = Number(store.committed.get('xenact_peer', peerRef(own))?.apiPort ?? httpsPort);
  return port === ownPort ? address : authorityOf(address, port);
};

const authorityOf = (address: string, port: number): string => {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === 443 ? host : `${host}:${port}`;
};

import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import type { Host, HostParts, MeshParts } from '../assembly/parts.ts';
import { guestKernelsIn } from '../drivers/guest-kernels.ts';
import type { HostFiles } from '../drivers/host-files.ts';
import { hostPluginsIn } from '../drivers/host-plugins.ts';
import type { MeshNetwork } from '../drivers/mesh-wire.ts';
import { NetworkFailure } from '../drivers/network.ts';
import { makeCertificate } from '../drivers/node/certificate.ts';
import { nodeMeshNetwork } from '../drivers/node/mesh-wire.ts';
import { nodeOtherPools } from '../drivers/node/other-pools.ts';
import { nodePoolDoor } from '../drivers/node/pool-door.ts';
import { nodeWeb } from '../drivers/node/web.ts';
import type { HostStorage } from '../drivers/storage/host-storage.ts';
import type { EngineStore } from '../engine/settings.ts';
import { divergedFiles } from '../log/diverged.ts';
import { catalogOf } from '../objects/catalog.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { lmdbDurable } from '../store/lmdb.ts';
import { type HostCertificate, hostCertificate, meshCertificateLost } from './certificate.ts';
import type { OpenedCredentials } from './credentials.ts';
import type { DataFolder } from './folder.ts';
import { hostFacts } from './host-facts.ts';
import type { HostHypervisor } from './hypervisor.ts';
import type { ClientDoor } from './listen.ts';
import { mustStay, ownClusterLog } from './log-engine.ts';
import { machine } from './machine.ts';
import { keepNext } from './next-database.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';
import { takeLaterRoles } from './users.ts';
import { version } from './version.ts';
import { watchPlugins } from './watched-plugins.ts';

/** What of a host was opened before it is put together. */
export interface OpenedParts {
  readonly paths: Paths & { readonly run: string };
  readonly log: Log;
  readonly print: (line: string) => void;
  readonly folder: Pick<DataFolder, 'state' | 'epochMin'>;
  readonly credentials: OpenedCredentials;
  readonly storage: HostStorage;
  readonly chosen: HostHypervisor;
  /** What clients of HTTPS see. */
  readonly tls: HostCertificate;
  /** What this host keeps beside rows. */
  readonly files: HostFiles;
  readonly doors: (host: Host) => Promise<ClientDoor>;
  /** What this host knows of the pool's own cluster. */
  readonly engineStore: EngineStore;
  /** Ends a member of the pool's cluster that runs here, and forgets how the cluster is reached. */
  readonly forgetEngine: () => Promise<void>;
  readonly restart: () => void;
}

/** The parts of a host on this machine. */
export const hostParts = async (options: UpOptions, given: OpenedParts): Promise<HostParts<ClientDoor>> => {
  const { paths, log, folder, chosen, tls, print } = given;
  const { credentials, storage, doors, restart } = given;
  const { daemon, hypervisor } = chosen;
  const engine = await ownClusterLog(given.engineStore);
  return {
    ...machine,
    ...{ log, version, credentials, storage, hypervisor, doors, restart, files: given.files },
    ...{ state: folder.state, epochMin: folder.epochMin },
    catalog: catalogOf(classes, behaviours),
    poolName: options.name ?? 'xenact',
    address: ownAddress(options),
    httpsPort: Number(options['https-port']),
    database: {
      ...databaseIn(paths, given.forgetEngine),
      keepNext: (next) => {
        if (engine !== undefined) throw engineStays();
        const epoch = Math.max(folder.state.current?.epoch ?? 0, folder.epochMin) + 1;
        return keepNext(machine, paths, next, epoch);
      },
    },
    space: () => machine.disk.space(paths.data),
    diverged: divergedFiles({ disk: machine.disk, folder: paths.diverged, now: machine.clock.now }),
    mesh: await meshParts(options, paths),
    tunnel: { xenopsdSocket: paths.xenopsdSocket, runFolder: paths.run },
    ...(daemon !== undefined && { revive: daemon.ensure }),
    storageFolders: { disk: machine.disk, disks: paths.defaultSr, images: paths.isoSr },
    guestKernels: guestKernelsIn(machine.disk, options['guest-kernels']),
    watchPlugins: (look) => watchPlugins({ ...machine, log }, paths.plugins, look),
    hostPlugins: hostPluginsIn(machine, options['host-plugins']),
    facts: hostFacts,
    fingerprint: pinOf(tls),
    poolDoor: nodePoolDoor,
    otherPools: nodeOtherPools,
    web: nodeWeb,
    pool: {
      replicas: Number(options['commit-replicas']),
      serves: options['edge-members'] === 'serve',
      ...(engine !== undefined && { engine }),
      mustStay: mustStay(given.engineStore),
    },
    told: {
      leads: ({ services }) => takeLaterRoles(machine.disk, paths.roles, services),
      waits: () =>
        print(
          'This host is a member of a pool and waits for its coordinator; calls are answered with ' +
            'HOST_STILL_BOOTING.',
        ),
    },
  };
};

const engineStays = (): Fault =>
  new Fault('OPERATION_NOT_ALLOWED', [
    "The pool's log is in etcd, which would not have the database: xenact engine use primary first",
  ]);

const databaseIn = (
  paths: Paths,
  forgetEngine: () => Promise<void>,
): Omit<HostParts['database'], 'keepNext'> => ({
  durable: () => lmdbDurable(paths.store, async () => (await machine.disk.space(paths.data)).freeBytes),
  forget: async () => {
    for (const { name } of await machine.disk.list(paths.store))
      await machine.disk.remove(join(paths.store, name));
    await forgetEngine();
  },
});

const certificateDays = 3_650;

const meshParts = async (options: UpOptions, paths: Paths): Promise<MeshParts> => {
  const { disk } = machine;
  const file = paths.meshCertificate;
  const host = options.listen ?? '127.0.0.1';
  const make = (): Promise<HostCertificate> => makeCertificate({ names: [host], days: certificateDays });
  const certificate = await hostCertificate(disk, file, make, meshCertificateLost);
  return {
    network: refusingClearly(options, nodeMeshNetwork),
    listen: { host, port: Number(options['mesh-port']) },
    own: { certificate, pin: pinOf(certificate) },
    next: async () => {
      const next = await make();
      return {
        certificate: next,
        pin: pinOf(next),
        keep: () => disk.replaceText(file, JSON.stringify(next), 0o600),
      };
    },
  };
};

/** Where the mesh cannot listen the operator is told what to change. */
const refusingClearly = (options: UpOptions, network: MeshNetwork): MeshNetwork => ({
  ...network,
  listen: (on, ...rest) =>
    network.listen(on, ...rest).catch((error: unknown) => {
      const busy = error instanceof NetworkFailure && error.reason === 'in-use';
      throw new StartFailure(
        `The mesh cannot listen on port ${options['mesh-port']} of ${on.host} ` +
          `(${(error as Error).message}). ` +
          (busy
            ? 'Give another with --mesh-port, or 0 for any free one.'
            : 'Give another address with --listen.'),
      );
    }),
});

const ownAddress = ({ listen = '127.0.0.1' }: UpOptions): string =>
  listen === '0.0.0.0' || listen === '::' ? '127.0.0.1' : listen;

const pinOf = ({ cert }: HostCertificate): string =>
  new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();

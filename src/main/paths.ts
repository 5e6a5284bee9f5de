import { createHash } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Environment } from './flags.ts';

/** Where everything of one host is. */
export interface Paths {
  readonly data: string;
  /** What this host had answered and its pool lacks. */
  readonly diverged: string;
  readonly store: string;
  /** A database that the next start begins with. */
  readonly next: string;
  /** What the database was like when it was closed in order. */
  readonly storeSeal: string;
  readonly credentials: string;
  /** Roles that users were given while the host was stopped. */
  readonly roles: string;
  readonly certificate: string;
  /** The folder of the audit log. */
  readonly audit: string;
  /** Where this host stands in its pool. */
  readonly pool: string;
  /** The certificate that it shows to the other hosts. */
  readonly meshCertificate: string;
  /** What is kept of the pool's cluster of etcd, and a member's data. */
  readonly engine: string;
  readonly xenopsdState: string;
  /** The highest epoch whose orders the daemon has taken. */
  readonly xenopsdEpoch: string;
  readonly storageState: string;
  readonly defaultSr: string;
  readonly isoSr: string;
  /** SMAPIv3 plugins that the user adds. */
  readonly plugins: string;
  readonly apiSocket: string;
  readonly storageSocket: string;
  /** Who this host is, as storage drivers read it. */
  readonly inventory: string;
  /** The XenAPI for storage drivers and plugins of this host. */
  readonly xapiSocket: string;
  readonly xenopsdSocket: string;
  readonly xenopsdLog: string;
}

/** A Unix socket's path, with what daemons append to it, has room for about a hundred bytes. */
const runFolderBytesMax = 70;

/**
 * Sockets live in the data folder, or, where its path is too long for them, in a short folder named after it.
 */
const runFolder = (data: string): string => {
  const own = join(data, 'run');
  if (Buffer.byteLength(own) <= runFolderBytesMax) return own;
  return join(tmpdir(), `xenact-${createHash('sha256').update(data).digest('hex').slice(0, 16)}`);
};

export const defaultDataFolder = (environment: Environment): string =>
  join(environment['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'xenact');

/** Of a command that `--data` or XENACT_DATA says the folder to. */
export const pathsFor = (data: string | undefined, environment: Environment) =>
  pathsOf(data ?? environment['XENACT_DATA'] ?? defaultDataFolder(environment));

export const pathsOf = (dataFolder: string): Paths & { readonly run: string } => {
  const data = resolve(dataFolder);
  const run = runFolder(data);
  return {
    data,
    run,
    diverged: join(data, 'diverged'),
    store: join(data, 'store'),
    next: join(data, 'next'),
    storeSeal: join(data, 'store.seal'),
    credentials: join(data, 'credentials.json'),
    roles: join(data, 'roles.json'),
    certificate: join(data, 'certificate.json'),
    audit: join(data, 'audit'),
    pool: join(data, 'pool.json'),
    meshCertificate: join(data, 'mesh-certificate.json'),
    engine: join(data, 'engine'),
    xenopsdState: join(data, 'xenopsd'),
    xenopsdEpoch: join(data, 'xenopsd', 'epoch'),
    storageState: join(run, 'sm'),
    defaultSr: join(data, 'sr'),
    isoSr: join(data, 'iso'),
    plugins: join(data, 'plugins'),
    apiSocket: join(run, 'xenact'),
    storageSocket: join(run, 'storage'),
    inventory: join(data, 'xensource-inventory'),
    xapiSocket: join(run, 'xapi'),
    xenopsdSocket: join(run, 'xenopsd'),
    xenopsdLog: join(data, 'xenopsd.log'),
  };
};

import { basename } from 'node:path';
import type { Host } from '../assembly/parts.ts';
import { tailOf } from '../drivers/file-tail.ts';
import type { HostFile, HostFiles } from '../drivers/host-files.ts';
import type { AuditTrail } from '../edge/audit.ts';
import type { EngineStore } from '../engine/settings.ts';
import { backupFiles } from '../pool/backup.ts';
import { Fault } from '../std/fault.ts';
import { formatVersion } from '../store/migrations.ts';
import type { HostCertificate } from './certificate.ts';
import type { OpenedCredentials } from './credentials.ts';
import type { Machine } from './machine.ts';
import type { Paths } from './paths.ts';
import { version } from './version.ts';

/** Of each log that is given away. */
export const logTailBytesMax = 4 * 1_048_576;

export interface HostFilesOptions {
  readonly machine: Pick<Machine, 'disk' | 'clock'>;
  readonly trail: Pick<AuditTrail, 'read'>;
  /** What this process itself has logged. */
  readonly said: () => string;
  readonly paths: Pick<Paths, 'data' | 'xenopsdLog'>;
  readonly engineStore: Pick<EngineStore, 'files'>;
  readonly credentials: Pick<OpenedCredentials, 'exported'>;
  /** What clients of HTTPS see. */
  readonly tls: HostCertificate;
}

/** Whose rows are in a backup is said once they are open. */
export const hostFiles = (options: HostFilesOptions): HostFiles & { serve(host: Host): void } => {
  const { machine, trail, said, paths, engineStore } = options;
  const logs = [paths.xenopsdLog, engineStore.files.log];
  let host: Host | undefined;
  return {
    audit: trail.read,
    logs: async function* () {
      yield { name: 'xenact.log', bytes: Buffer.from(said()) };
      for (const path of logs)
        if (await machine.disk.exists(path))
          yield { name: basename(path), bytes: await tailOf(machine.disk, path, logTailBytesMax) };
    },
    backup: () => {
      if (host === undefined) throw new Fault('HOST_STILL_BOOTING');
      return backupOf(host, options);
    },
    serve: (made) => {
      host = made;
    },
  };
};

const backupOf = (
  { store, services, context }: Host,
  { machine, paths: { data }, credentials, tls }: HostFilesOptions,
): AsyncIterable<HostFile> => {
  const { uuid: pool, name_label: name } = store.latest.only('pool')[1];
  const at = new Date(machine.clock.now()).toISOString();
  const about = { xenact: version, database: formatVersion, host: services.host, pool, name, data, at };
  const secrets = { 'credentials.json': credentials.exported(), 'certificate.json': JSON.stringify(tls) };
  return backupFiles({ store, replica: context.replica }, about, secrets);
};

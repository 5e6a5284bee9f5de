import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { behaviours } from '../../actors/behaviours.ts';
import { forgetHost } from '../../actors/host/dying.ts';
import { classes } from '../../actors/index.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { catalogOf } from '../objects/catalog.ts';
import { storeRules } from '../objects/derive-rows.ts';
import { type BackupAbout, type BackupSecrets, checkedBackup, readBackup } from '../pool/backup.ts';
import { internalClasses } from '../pool/rows.ts';
import { openStateFile } from '../pool/state.ts';
import { silentLog } from '../std/log.ts';
import { lmdbDurable } from '../store/lmdb.ts';
import { formatVersion } from '../store/migrations.ts';
import { openStore } from '../store/store.ts';
import type { Tx } from '../store/view.ts';
import { chunksOf } from './file-chunks.ts';
import { machine } from './machine.ts';
import { type Paths, pathsOf } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const { disk, clock } = machine;

/**
 * Makes the data folder of a host that leads the pool of a backup. Its last step is a rename, so that a
 * folder is there as a whole or not at all. Throws StartFailure where something is there already, and
 * UnusableError where the file is no whole backup.
 */
export const restore = async (file: string, { data }: Pick<Paths, 'data'>): Promise<BackupAbout> => {
  await assertFree(data);
  const about = await checkedBackup(chunksOf(disk, file), formatVersion);
  const made = pathsOf(`${data}.restoring`);
  await disk.makeFolder(dirname(data), 0o700);
  await mkdir(made.data, 0o700).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new StartFailure(
      `${made.data} is there: another restore is under way, or was cut off. Remove it and try again`,
    );
  });
  try {
    await build(file, about, made, data);
    await rename(made.data, data);
  } catch (error) {
    await rm(made.data, { recursive: true, force: true });
    throw error;
  }
  return about;
};

const assertFree = async (data: string): Promise<void> => {
  if (!(await disk.exists(data)) || (await disk.list(data)).length === 0) return;
  throw new StartFailure(
    `${data} is not empty: a host is restored into a new folder. Move this one away, or name another with ` +
      '--data',
  );
};

const build = async (file: string, about: BackupAbout, made: Paths, data: string): Promise<void> => {
  await disk.makeFolder(made.store, 0o700);
  const { rows, secrets } = readBackup(chunksOf(disk, file));
  const { store, replica } = openStore({
    classes: [...classes, ...internalClasses],
    durable: lmdbDurable(made.store),
    log: silentLog,
    ...storeRules(catalogOf(classes, behaviours)),
  });
  try {
    await replica.receive();
    const { epoch, generation } = await replica.replace(rows());
    replica.acknowledge(generation);
    // Whoever led may go on somewhere.
    await replica.lead(epoch + 1);
    await store.commit((tx) => fit(tx, about, data));
  } finally {
    await replica.close();
  }
  await keepSecrets(made, secrets);
  const state = await openStateFile(disk, made.pool);
  await state.save({ host: about.host, role: 'coordinator', epoch: replica.epoch, led: replica.epoch });
};

const keepSecrets = async (made: Paths, secrets: Partial<BackupSecrets>): Promise<void> => {
  await disk.replaceText(made.credentials, secrets['credentials.json'] ?? '', 0o600);
  await disk.replaceText(made.certificate, secrets['certificate.json'] ?? '', 0o600);
};

/** What rows say of machines that are not there any more. */
const fit = (tx: Tx, { host, data: before }: BackupAbout, data: string): void => {
  const nowhere = nullRef as Ref<'host'>;
  tx.require('host', host);
  for (const [vm, { is_control_domain, power_state }] of [...tx.all('VM')]) {
    if (is_control_domain) continue;
    // This host ends what it is said to run and does not.
    const runs = power_state !== 'Halted' && power_state !== 'Suspended';
    tx.patch('VM', vm, { resident_on: runs ? host : nowhere, scheduled_to_be_resident_on: nowhere });
  }
  for (const [other] of [...tx.all('host')]) if (other !== host) forgetHost(tx, other, { clock });
  tx.patch('pool', tx.only('pool')[0], { master: host });
  for (const [pbd, { device_config }] of [...tx.all('PBD')]) {
    const location = device_config.get('location') ?? '';
    if (!location.startsWith(`${before}/`)) continue;
    const moved = join(data, location.slice(before.length));
    tx.patch('PBD', pbd, { device_config: new Map([...device_config, ['location', moved]]) });
  }
};

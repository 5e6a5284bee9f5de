import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { classes } from '../../actors/index.ts';
import { internalClasses } from '../pool/rows.ts';
import { openStateFile, type PoolState, type StateFile } from '../pool/state.ts';
import { jsonOf } from '../std/reader.ts';
import { UnusableError } from '../std/unusable.ts';
import type { Examined } from '../store/examine.ts';
import { type HeaderRead, headerBytes, headerOf } from '../store/lmdb-header.ts';
import { shapesOf } from '../store/shape.ts';
import { meshCertificateLost, readCertificate } from './certificate.ts';
import type { Machine } from './machine.ts';
import { takeNext } from './next-database.ts';
import type { Paths } from './paths.ts';

// A data folder is looked at before anything of it is opened: a damaged database would take the process down
// with it, and a host that has forgotten which pool it belongs to must not make a new one by itself.

export interface DataFolder {
  readonly state: StateFile;
  /** Hypervisor daemons of this host obey no epoch below this one; 0 where they obey any. */
  readonly epochMin: number;
  /** Notes what the database is like as the last thing of a stop in order. */
  seal(): Promise<void>;
}

type Uses = Pick<Machine, 'disk' | 'processes' | 'clock'>;

/** A database of this machine's largest pools is read in a tenth of it. */
const examineMsMax = 600_000;
const outputBytesMax = 1 << 16;
const sealBytesMax = 1 << 10;
const epochBytesMax = 64;
const blockBytes = 1 << 20;
const shownMax = 120;

/**
 * Opens what is known of this host's place, and makes sure that its database can be opened too. With
 * `rebuild` one that cannot is set aside, and so is what no longer fits. Throws UnusableError.
 */
export const openFolder = async (
  uses: Uses,
  paths: Paths,
  { rebuild, print }: { readonly rebuild: boolean; readonly print: (line: string) => void },
): Promise<DataFolder> => {
  await takeNext(uses, paths, print);
  const daemonEpoch = await readDaemonEpoch(uses, paths);
  const seal = (): Promise<void> => writeSeal(uses, paths);
  try {
    const state = await openStateFile(uses.disk, paths.pool);
    if (await uses.disk.exists(paths.meshCertificate))
      await readCertificate(uses.disk, paths.meshCertificate, meshCertificateLost);
    const found = await examined(uses, paths, state.current);
    return { state, seal, epochMin: Math.max(found?.epoch ?? 0, daemonEpoch) };
  } catch (error) {
    if (!rebuild || !(error instanceof UnusableError)) throw error;
    print(error.message);
    await setAside(uses, paths, print);
    return { state: await openStateFile(uses.disk, paths.pool), seal, epochMin: daemonEpoch };
  }
};

/** Undefined where there is no database yet, or one that is as it was sealed. */
const examined = async (
  uses: Uses,
  paths: Paths,
  state: PoolState | undefined,
): Promise<Examined | undefined> => {
  const file = join(paths.store, 'data.mdb');
  const sealed = await takeSeal(uses, paths);
  const sizeBytes = (await uses.disk.exists(file)) ? await sizeOf(uses, file) : 0n;
  if (sizeBytes === 0n) {
    if (state === undefined || canBeCopied(state) || state.change === 'ejected') return undefined;
    throw damaged(paths, state, 'is missing');
  }
  const header = await readHeaderOf(uses, file);
  if (header.fault !== undefined) throw damaged(paths, state, `cannot be used: ${header.fault}`);
  if (state !== undefined && sealed !== undefined && sealed === (await digestOf(uses, file)))
    return undefined;
  const short =
    sizeBytes < header.wholeBytes
      ? `it was cut short: ${sizeBytes} of ${header.wholeBytes} bytes are there`
      : undefined;
  const found = await readThrough(uses, paths, state, short);
  if (state === undefined && found.hosts > 1) {
    throw new UnusableError(
      `${paths.pool} is missing, and the database is of a pool of ${found.hosts} hosts, in which ` +
        'another may coordinate by now. Put the file back from a backup; or start with --rebuild and ' +
        `--join, as a new host of that pool. ${disksStay(paths)}`,
    );
  }
  return found;
};

/** A member takes a whole copy from its coordinator, so nothing of the pool is lost with its own. */
const canBeCopied = (state: PoolState | undefined): boolean =>
  state?.role === 'member' && state.coordinator !== undefined;

const damaged = (paths: Paths, state: PoolState | undefined, what: string): UnusableError => {
  const said = `The database in ${paths.store} ${what}.`;
  if (canBeCopied(state)) {
    return new UnusableError(
      `${said} Nothing of the pool is lost: this host is a member, and its coordinator has everything. ` +
        'Start with --rebuild, and it takes a copy from there.',
    );
  }
  return new UnusableError(
    `${said} What it held of VMs, networks and users is lost unless another host of the pool or a ` +
      'backup has it. Put back a backup of the data folder; or start with --rebuild for a new pool, or ' +
      `with --rebuild and --join as a new host of the pool that it belonged to. ${disksStay(paths)}`,
  );
};

const disksStay = (paths: Paths): string => `Disks in ${paths.defaultSr} are left alone.`;

const readThrough = async (
  { processes }: Uses,
  paths: Paths,
  state: PoolState | undefined,
  suspected: string | undefined,
): Promise<Examined> => {
  const program = fileURLToPath(new URL('./examine-store.js', import.meta.url));
  const { code, signal, stdout, stderr } = await processes.run(process.execPath, [program, paths.store], {
    stdin: JSON.stringify(shapesOf([...classes, ...internalClasses])),
    timeoutMs: examineMsMax,
    outputMax: outputBytesMax,
  });
  if (code === 0) return jsonOf(stdout, 'what was examined') as Examined;
  const [said = ''] = stderr
    .replaceAll(/[^\x20-\x7e\n]/g, '')
    .trim()
    .split('\n');
  const seen = signal === null && said !== '' ? said.slice(0, shownMax) : 'parts of it lead nowhere';
  const why = suspected ?? seen;
  throw damaged(paths, state, `cannot be read: ${why}`);
};

const sizeOf = async ({ disk }: Uses, path: string): Promise<bigint> => {
  const file = await disk.open(path, 'read');
  await file.close();
  return file.sizeBytes;
};

const readHeaderOf = async ({ disk }: Uses, path: string): Promise<HeaderRead> => {
  const file = await disk.open(path, 'read');
  try {
    const head = Buffer.alloc(headerBytes);
    const count = await file.read(head, 0n);
    return headerOf(head.subarray(0, count));
  } finally {
    await file.close();
  }
};

const digestOf = async ({ disk }: Uses, path: string): Promise<string> => {
  const file = await disk.open(path, 'read');
  try {
    const hash = createHash('sha256');
    const block = Buffer.alloc(blockBytes);
    for (let position = 0n; ; ) {
      const count = await file.read(block, position);
      if (count === 0) return hash.digest('hex');
      hash.update(block.subarray(0, count));
      position += BigInt(count);
    }
  } finally {
    await file.close();
  }
};

/** A seal is for one start: from then on the database changes. */
const takeSeal = async ({ disk }: Uses, { storeSeal }: Paths): Promise<string | undefined> => {
  if (!(await disk.exists(storeSeal))) return undefined;
  const text = await disk.readText(storeSeal, sealBytesMax).catch(() => undefined);
  await disk.remove(storeSeal);
  return text?.trim();
};

const writeSeal = async (uses: Uses, paths: Paths): Promise<void> =>
  uses.disk.replaceText(paths.storeSeal, `${await digestOf(uses, join(paths.store, 'data.mdb'))}\n`);

const readDaemonEpoch = async ({ disk }: Uses, { xenopsdEpoch }: Paths): Promise<number> => {
  if (!(await disk.exists(xenopsdEpoch))) return 0;
  const epoch = Number(await disk.readText(xenopsdEpoch, epochBytesMax).catch(() => ''));
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
};

/** Nothing is removed: what was damaged stands beside the folder's new files under a name of its own. */
const setAside = async (
  { disk, clock }: Uses,
  paths: Paths,
  print: (line: string) => void,
): Promise<void> => {
  const suffix = `.damaged-${clock.now()}`;
  const state = await openStateFile(disk, paths.pool).catch(() => undefined);
  const gone = canBeCopied(state?.current) ? [paths.store] : [paths.store, paths.pool, paths.meshCertificate];
  for (const path of gone) {
    if (!(await disk.exists(path))) continue;
    await rename(path, `${path}${suffix}`);
    print(`${path} is set aside as ${path}${suffix}`);
  }
  await disk.makeFolder(paths.store, 0o700);
};

import { WebFailure } from '../../src/drivers/web.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Client } from '../../src/objects/client.ts';
import type { ActionHandler, Working } from '../../src/objects/implement.ts';
import { imageBytes } from '../../src/rules/images/image-bytes.ts';
import { hostReaching, openDisk } from '../../src/rules/open-disk.ts';
import { foreseen, type ImportWish } from '../../src/rules/xva/arriving.ts';
import { disksTaken, type Taking } from '../../src/rules/xva/disks.ts';
import { tarEntries } from '../../src/rules/xva/entries.ts';
import { refusingXva } from '../../src/rules/xva/faults.ts';
import { type ReadOva, readOva } from '../../src/rules/xva/ova-read.ts';
import { unpacked } from '../../src/rules/xva/packing.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { type Arrived, arrive, settleArrived } from './arrived.ts';
import { fieldsIn } from './exporting.ts';
import type { VmHandlers } from './handlers.ts';

// VMs from files: their rows are made first, so that clients can look at them, then the disks are filled, and
// in the commit that settles they are whole. Whatever goes wrong before takes all of it back.

interface Wish {
  readonly restore: boolean;
  readonly force: boolean;
}
interface Asked extends Wish {
  readonly sr_id: string;
  readonly sr_uuid: string;
}
interface Metadata extends Wish {
  readonly dry_run: boolean;
  readonly vdi: ReadonlyMap<string, string>;
}
type Importing = Working<'VM'>;

/** What says what is in a file; 4 KiB or so for each object. */
const OVA_BYTES_MAX = 64 * 1024 * 1024;

const repositoryOf = (view: View, { sr_id, sr_uuid }: Asked): Ref<'SR'> => {
  const named =
    view.get('SR', sr_id as Ref<'SR'>) === undefined ? view.byUuid('SR', sr_id || sr_uuid) : sr_id;
  if (named !== undefined) return named as Ref<'SR'>;
  if (sr_id !== '' || sr_uuid !== '') throw new Fault('HANDLE_INVALID', ['SR', sr_id || sr_uuid]);
  const { default_SR } = view.only('pool')[1];
  if (view.get('SR', default_SR) === undefined) throw new Fault('DEFAULT_SR_NOT_FOUND', [default_SR]);
  return default_SR;
};

const upgradeRefusal = (view: View): Fault | undefined => {
  const [, pool] = view.only('pool');
  const isUpgrading = pool.other_config.has('rolling_upgrade_in_progress');
  return isUpgrading ? new Fault('NOT_SUPPORTED_DURING_UPGRADE') : undefined;
};

const refusal = (view: View, asked: Asked): Fault | undefined => {
  const upgrading = upgradeRefusal(view);
  if (upgrading !== undefined) return upgrading;
  const isDiscs = view.require('SR', repositoryOf(view, asked)).content_type === 'iso';
  return isDiscs ? new Fault('SR_OPERATION_NOT_SUPPORTED') : undefined;
};

/** The file up to its disks. */
const described = async (working: Importing, entries: Taking['entries']): Promise<ReadOva> => {
  const { clock, store } = working.services;
  const first = await entries.peek();
  if (first === undefined) throw new Fault('IMPORT_ERROR_PREMATURE_EOF');
  if (first.name !== 'ova.xml') throw new Fault('IMPORT_ERROR_UNEXPECTED_FILE', ['ova.xml', first.name]);
  const text = (await entries.take(OVA_BYTES_MAX)).toString('utf8');
  return readOva(text, fieldsIn(store), () => sleep(clock, 0));
};

const fill = async (working: Importing, arrived: Arrived, taking: Taking): Promise<void> => {
  const { services, signal, progress } = working;
  const { take, compareSums } = disksTaken(taking);
  const wanted = arrived.foreseen.disksInFile.map(({ id, record }) => ({
    id,
    sizeBytes: record.virtual_size ?? 0n,
  }));
  const total = Number(wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n) || 1n);
  let before = 0n;
  for (const { id, sizeBytes } of wanted) {
    const vdi = arrived.disks.get(id);
    if (vdi === undefined) throw new Fault('IMPORT_ERROR_FAILED_TO_FIND_OBJECT', [id]);
    const tell = (position: bigint): void => progress((0.95 * Number(before + position)) / total);
    const disk = await openDisk(services, { vdi, how: 'write', operation: 'import' }, signal);
    let takenBytes = 0n;
    try {
      await take({ id, sizeBytes, disk, tell, signal });
      await disk.flush();
    } finally {
      takenBytes = await disk.close();
    }
    working.settle((tx) => tx.patch('VDI', vdi, { physical_utilisation: takenBytes }));
    before += sizeBytes;
  }
  await compareSums();
};

type Source = Pick<Client, 'body' | 'sizeBytes'>;

/** A file, once it is sure that no row refuses it. */
const opened = async (working: Importing, client: Source, wish: ImportWish) => {
  const { services, signal, view } = working;
  const bytes = imageBytes(unpacked(client.body(), { processes: services.processes, signal }));
  const entries = tarEntries(bytes);
  const ova = await described(working, entries);
  const ended = async (): Promise<void> => {
    if (client.sizeBytes !== undefined) await bytes.drain();
    signal.throwIfAborted();
  };
  return { file: { ova, wish, foreseen: foreseen(view, ova, wish) }, entries, ended };
};

const take = (working: Importing, asked: Asked, client: Source): Promise<readonly Ref<'VM'>[]> =>
  refusingXva(async () => {
    const { restore, force } = asked;
    const wish: ImportWish = { restore, force, full: true, renamed: new Map() };
    const { file, entries, ended } = await opened(working, client, wish);
    const arrived = await arrive(working, { ...file, sr: repositoryOf(working.view, asked) });
    const inline = file.ova.exportVersion >= 2n;
    // Where no VM is made, as those of the file are here already, nobody wants the disks.
    if (arrived.vms.size > 0) await fill(working, arrived, { entries, inline, force, isBlank: true });
    await ended();
    return settleArrived(working, arrived);
  });

/** VMs whose disks are here, such as those of a repository that another pool had. */
const takeMetadata = (working: Importing, asked: Metadata, client: Client): Promise<readonly Ref<'VM'>[]> =>
  refusingXva(async () => {
    const { restore, force, dry_run, vdi: renamed } = asked;
    const { file, ended } = await opened(working, client, { restore, force, full: false, renamed });
    if (dry_run) {
      await ended();
      return [...file.foreseen.arrivals.values()].flatMap((one) => (one.does === 'use' ? [one.vm] : []));
    }
    const arrived = await arrive(working, { ...file, sr: nullRef as Ref<'SR'> });
    await ended();
    return settleArrived(working, arrived);
  });

interface ByUrl {
  readonly url: string;
  readonly sr: Ref<'SR'>;
  readonly full_restore: boolean;
  readonly force: boolean;
}

const asAsked = ({ sr, full_restore, force }: ByUrl): Asked => ({
  ...{ sr_id: sr, sr_uuid: '', restore: full_restore, force },
});

const urlOf = (text: string): URL | Fault => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && ['http:', 'https:'].includes(url.protocol)) return url;
  return new Fault('INVALID_VALUE', [
    'url',
    'Give the address of an exported file: http://... or https://...',
  ]);
};

/**
 * A pool that is itself on loopback has callers of its own machine alone; for others the file is never asked
 * of what only this host reaches.
 */
const takeByUrl = async (working: Importing, asked: ByUrl): Promise<readonly Ref<'VM'>[]> => {
  const { services, view, signal } = working;
  const url = urlOf(asked.url);
  if (url instanceof Fault) throw url;
  const within = isLoopback(view.require('host', services.host).address);
  try {
    if (services.web === undefined) throw new WebFailure('This host asks nobody for files');
    const file = await services.web.get(url, { within, signal });
    try {
      return await take(working, asAsked(asked), { sizeBytes: undefined, body: () => file.bytes });
    } finally {
      file.close();
    }
  } catch (error) {
    throw error instanceof WebFailure ? new Fault('IMPORT_ERROR', [error.message]) : error;
  }
};

const isLoopback = (address: string): boolean => /^(127\.|::1$)/.test(address);

/** Of a URL that this host asks for. */
export const importingByUrl = {
  import: {
    on: ({ sr }, view) => hostReaching(view, sr, view.only('pool')[1].master),
    unless: (view, _self, asked) => {
      const url = urlOf(asked.url);
      return url instanceof Fault ? url : refusal(view, asAsked(asked));
    },
    work: takeByUrl,
  },
} satisfies VmHandlers;

export const importing = {
  put_import: {
    on: (asked: Asked, view: View): Ref => {
      const [, { master }] = view.only('pool');
      return hostReaching(view, repositoryOf(view, asked), master);
    },
    unless: (view: View, _self: Ref<'VM'>, asked: Asked) => refusal(view, asked),
    stream: take,
  } satisfies ActionHandler<'VM', Asked>,
  put_import_metadata: {
    unless: upgradeRefusal,
    stream: takeMetadata,
  } satisfies ActionHandler<'VM', Metadata>,
};

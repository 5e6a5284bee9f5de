import type { OpenVolume } from '../../src/drivers/storage/storage.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Client } from '../../src/objects/client.ts';
import type { ActionHandler, Working } from '../../src/objects/implement.ts';
import { reading } from '../../src/rules/disk-use.ts';
import { imageFormats } from '../../src/rules/images/formats.ts';
import type { Given, TransferFormat } from '../../src/rules/images/image.ts';
import { imageBytes } from '../../src/rules/images/image-bytes.ts';
import { refusing } from '../../src/rules/images/image-faults.ts';
import { takeChunks } from '../../src/rules/images/raw.ts';
import { trackedChanges } from '../../src/rules/images/tracked.ts';
import { openDisk } from '../../src/rules/open-disk.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { inUseRefusal } from './admission.ts';

// A disk as an image. Reading stands in `current_operations` as `copy`, beside which a disk can be read by
// others; writing as `blocked`, which lets nothing else happen to it.

interface Taking {
  readonly format: string;
  readonly chunked: string;
}
interface Giving {
  readonly format: string;
  readonly base: Ref<'VDI'>;
}
type Disk = Working<'VDI'>;

/** Why the bytes of a disk cannot be read, or written, beside what its class says. */
export const bytesRefusal = (
  view: View,
  vdi: Ref<'VDI'>,
  operation: 'copy' | 'blocked',
): Fault | undefined => {
  const record = view.require('VDI', vdi);
  const writes = operation === 'blocked';
  const inUse = inUseRefusal(view, vdi, operation);
  if (inUse !== undefined) return inUse;
  if (writes && record.read_only) return new Fault('VDI_READONLY', [vdi]);
  return record.missing ? new Fault('VDI_MISSING', [record.SR, vdi]) : undefined;
};

const formatOf = (name: string): TransferFormat | Fault =>
  imageFormats.get(name.toLowerCase()) ??
  new Fault('INVALID_VALUE', ['format', `${name}: it can be ${[...imageFormats.keys()].join(', ')}`]);

/** One that admission has seen. */
const known = (name: string): TransferFormat => {
  const format = formatOf(name);
  if (format instanceof Fault) throw format;
  return format;
};

const isChunked = ({ chunked }: Taking): boolean => chunked !== 'absent';

const checkTaking = (view: View, self: Ref<'VDI'>, taking: Taking): Fault | undefined => {
  const format = formatOf(taking.format);
  if (format instanceof Fault) return format;
  if (isChunked(taking) && format !== imageFormats.get('raw')) {
    return new Fault('INVALID_VALUE', ['chunked', 'Only raw bytes can come in pieces; leave it out']);
  }
  return bytesRefusal(view, self, 'blocked');
};

const take = async (working: Disk, taking: Taking, client: Client): Promise<void> => {
  const { self, record, services, signal, progress } = working;
  const format = known(taking.format);
  const { sizeBytes } = client;
  const isPlain = format === imageFormats.get('raw') && !isChunked(taking);
  if (isPlain && sizeBytes !== undefined && sizeBytes > record.virtual_size)
    throw new Fault('VDI_TOO_SMALL', [self, String(sizeBytes)]);
  const disk = await openDisk(services, { vdi: self, how: 'write', operation: 'import' }, signal);
  const note = (physical_utilisation: bigint) => (tx: Tx) => tx.patch('VDI', self, { physical_utilisation });
  try {
    const bytes = imageBytes(client.body());
    const taken = { disk, bytes, progress, signal };
    await refusing(self, isPlain, () => (isChunked(taking) ? takeChunks(taken) : format.take(taken)));
    // Of a client that says no length nobody knows when it ends; what it said was whole.
    if (sizeBytes !== undefined) await refusing(self, isPlain, bytes.drain);
    await disk.flush();
    signal.throwIfAborted();
  } catch (error) {
    // What was written takes space also when the writing failed.
    await disk
      .close()
      .then((bytes) => working.commit(note(bytes)))
      .catch((failure: unknown) =>
        services.log.warn({ error: failure, vdi: self }, 'The space that a written disk takes is not known'),
      );
    throw error;
  }
  working.settle(note(await disk.close()));
};

const checkGiving = (view: View, self: Ref<'VDI'>, { format: name, base }: Giving): Fault | undefined => {
  const format = formatOf(name);
  if (format instanceof Fault) return format;
  const { virtual_size } = view.require('VDI', self);
  if (format.sizeBytesMax !== undefined && virtual_size > format.sizeBytesMax) {
    return new Fault('VDI_TOO_LARGE', [self, `${format.sizeBytesMax}`]);
  }
  if (base !== nullRef && !format.differs) {
    return new Fault('INVALID_VALUE', ['base', 'Changes alone can be had as vhd or qcow2; name one of them']);
  }
  return bytesRefusal(view, self, 'copy');
};

const give = async (working: Disk, giving: Giving, client: Client): Promise<void> => {
  const { self, view } = working;
  const { base } = giving;
  if (base === nullRef) return withOpen(working, self, (disk) => giveDisk(working, giving, client, disk));
  const { uuid } = view.require('VDI', base);
  const found = await trackedChanges(working, self, base, storageCall(working, 'VDI.export'));
  const changed = found && { changed: found };
  await withOpen(working, self, (disk) =>
    withOpen(working, base, (other) =>
      giveDisk(working, giving, client, disk, { uuid, disk: other, ...changed }),
    ),
  );
};

const withOpen = async (
  { services, signal }: Disk,
  vdi: Ref<'VDI'>,
  use: (disk: OpenVolume) => Promise<void>,
): Promise<void> => {
  const disk = await openDisk(services, { vdi, how: 'read', operation: 'export' }, signal);
  try {
    await use(disk);
  } finally {
    await disk.close();
  }
};

const giveDisk = (
  { self, record, signal, progress }: Disk,
  giving: Giving,
  client: Client,
  disk: OpenVolume,
  base?: Given['base'],
): Promise<void> => {
  const format = known(giving.format);
  const name = `${record.uuid}.${giving.format.toLowerCase()}`;
  return refusing(self, true, () =>
    format.give({
      ...{ uuid: record.uuid, disk, progress, signal },
      ...(base && { base }),
      begin: (sizeBytes) =>
        client.answer({ type: format.type, ...(sizeBytes !== undefined && { sizeBytes }), name }).write,
    }),
  );
};

export const images = {
  put_import_raw_vdi: {
    operation: 'blocked',
    unless: checkTaking,
    stream: take,
  } satisfies ActionHandler<'VDI', Taking>,
  get_export_raw_vdi: {
    operation: 'copy',
    unless: checkGiving,
    holds: ({ base }: Giving, view: View, self: Ref<'VDI'>) =>
      base !== self && view.get('VDI', base) !== undefined ? [reading(base)] : [],
    stream: give,
  } satisfies ActionHandler<'VDI', Giving>,
};

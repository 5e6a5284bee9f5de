import { BodyBroken } from '../../src/drivers/http/http.ts';
import type { OpenVolume } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Client } from '../../src/objects/client.ts';
import type { ActionHandler, Working } from '../../src/objects/implement.ts';
import { openDisk } from '../../src/rules/open-disk.ts';
import { drivesInUse } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';

// The bytes of a disk, as a raw image. Reading stands in `current_operations` as `copy`, beside which a disk
// can be read by others; writing as `blocked`, which lets nothing else happen to it.

interface Image {
  readonly format: string;
  readonly base: string;
  readonly chunked: string;
}
type Disk = Working<'VDI'>;

const blockBytes = 1 << 20;

const refusal = (view: View, vdi: Ref<'VDI'>, operation: 'copy' | 'blocked'): Fault | undefined => {
  const record = view.require('VDI', vdi);
  const writes = operation === 'blocked';
  if (drivesInUse(view, record).some(({ mode }) => writes || mode === 'RW'))
    return new Fault('VDI_IN_USE', [vdi, operation]);
  if (writes && record.read_only) return new Fault('VDI_READONLY', [vdi]);
  return record.missing ? new Fault('VDI_MISSING', [record.SR, vdi]) : undefined;
};

const checkFormat = ({ format, ...options }: Image): void => {
  if (format !== 'raw') throw new Fault('INVALID_VALUE', ['format', `${format}: only raw is built`]);
  for (const [name, value] of Object.entries(options)) {
    if (value !== '' && value !== 'false') throw new Fault('NOT_IMPLEMENTED', [name]);
  }
};

const take = async (working: Disk, image: Image, client: Client): Promise<void> => {
  const { self, record, services, signal } = working;
  checkFormat(image);
  const { sizeBytes } = client;
  if (sizeBytes !== undefined && sizeBytes > record.virtual_size)
    throw new Fault('VDI_TOO_SMALL', [self, String(sizeBytes)]);
  const disk = await openDisk(services, { vdi: self, how: 'write', operation: 'import' }, signal);
  const note = (physical_utilisation: bigint) => (tx: Tx) => tx.patch('VDI', self, { physical_utilisation });
  try {
    await receive(working, disk, client);
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

/** Writes the body to the disk in whole blocks. A body shorter than the disk leaves the rest as it is. */
const receive = async ({ self, progress }: Disk, disk: OpenVolume, client: Client): Promise<void> => {
  const block = Buffer.alloc(blockBytes);
  let filled = 0;
  let position = 0n;
  const write = async (): Promise<void> => {
    if (position + BigInt(filled) > disk.sizeBytes)
      throw new Fault('VDI_TOO_SMALL', [self, String(disk.sizeBytes)]);
    if (filled > 0) await disk.write(block.subarray(0, filled), position);
    position += BigInt(filled);
    filled = 0;
    progress(Number(position) / Number(disk.sizeBytes || 1n));
  };
  try {
    for await (const chunk of client.body()) {
      for (let from = 0; from < chunk.length; ) {
        const count = Math.min(chunk.length - from, blockBytes - filled);
        block.set(chunk.subarray(from, from + count), filled);
        filled += count;
        from += count;
        if (filled === blockBytes) await write();
      }
    }
  } catch (error) {
    if (!(error instanceof BodyBroken)) throw error;
    const bytes = position + BigInt(filled);
    throw new Fault('VDI_IO_ERROR', [`The image ended after ${bytes} bytes; send it again`]);
  }
  await write();
};

const give = async (working: Disk, image: Image, client: Client): Promise<void> => {
  const { self, services, signal, progress } = working;
  checkFormat(image);
  const disk = await openDisk(services, { vdi: self, how: 'read', operation: 'export' }, signal);
  try {
    const to = client.answer({ type: 'application/octet-stream', sizeBytes: disk.sizeBytes });
    for (let position = 0n; position < disk.sizeBytes; ) {
      signal.throwIfAborted();
      const block = await readBlock(disk, position);
      await to.write(block);
      position += BigInt(block.length);
      progress(Number(position) / Number(disk.sizeBytes));
    }
  } finally {
    await disk.close();
  }
};

const readBlock = async (disk: OpenVolume, position: bigint): Promise<Uint8Array> => {
  const left = disk.sizeBytes - position;
  const block = Buffer.allocUnsafe(left < BigInt(blockBytes) ? Number(left) : blockBytes);
  const count = await disk.read(block, position);
  if (count === 0) throw new Fault('VDI_IO_ERROR', [`The disk ends after ${position} bytes`]);
  return block.subarray(0, count);
};

export const images = {
  put_import_raw_vdi: {
    operation: 'blocked',
    unless: (view, self) => refusal(view, self, 'blocked'),
    stream: take,
  },
  get_export_raw_vdi: {
    operation: 'copy',
    unless: (view, self) => refusal(view, self, 'copy'),
    stream: give,
  },
} satisfies Readonly<Record<string, ActionHandler<'VDI', Image>>>;

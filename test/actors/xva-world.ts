import { behaviours } from '../../actors/behaviours.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import type { Storage } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { simulatedVolumes } from '../../src/simulation/volumes.ts';
import { type World, type WorldOptions, world } from '../world.ts';
import { clientOf, streamed } from './client.ts';
import { createSr, createVdi } from './storage-world.ts';
import { vbdFields, vifFields, vmFields } from './vm-bench.ts';

// A pool whose disks have bytes, in memory, and VMs that leave and come as files.

const MiB = 1 << 20;

const networkFields = new Map<string, unknown>([
  ['name_label', 'lan'],
  ['other_config', new Map()],
]);

export interface XvaWorld extends World {
  readonly sr: Ref<'SR'>;
  /** Its methods can be replaced. */
  readonly storage: { -readonly [K in keyof Storage]: Storage[K] };
  /** A VM with two disks, an empty drive for discs and a network card. */
  newVm(more?: Record<string, unknown>): Promise<Ref<'VM'>>;
  /** All bytes of a disk. */
  bytesOf(vdi: Ref<'VDI'>): Promise<Buffer>;
  fill(vdi: Ref<'VDI'>, bytes: Buffer): Promise<void>;
  exported(query: Record<string, unknown>, action?: string): Promise<Buffer>;
  imported(bytes: AsyncIterable<Uint8Array>, query?: Record<string, unknown>, action?: string): Promise<void>;
}

/** Something at both ends and across a border of blocks, and much of nothing between. */
export const contents = (sizeBytes: number, text: string): Buffer => {
  const bytes = Buffer.alloc(sizeBytes);
  bytes.write(text, 0);
  bytes.fill(text, 2 * MiB - 700, 2 * MiB + 700);
  bytes.write(text, sizeBytes - text.length);
  return bytes;
};

export const xvaWorld = async (options: WorldOptions = {}): Promise<XvaWorld> => {
  const volumes = simulatedVolumes(seededRandom('xva'));
  const storage = volumes.of('one', async () => {});
  const made = await world({ behaviours, storage, services: { processes: nodeProcesses }, ...options });
  await smRows(made);
  const sr = await createSr(made, '/of/a/test');
  const network: Ref<'network'> = await made.call('network.create', networkFields);
  const byName = (name: string, query: Record<string, unknown>): readonly unknown[] =>
    (made.catalog.action(name)?.params ?? []).map((param) => query[param.name] ?? param.defaultValue);
  const exported = async (query: Record<string, unknown>, action = 'get_export'): Promise<Buffer> => {
    const { answered, client } = clientOf();
    await streamed(made, action, byName(action, query), client);
    return Buffer.concat(answered);
  };
  const imported: XvaWorld['imported'] = (bytes, query = {}, action = 'put_import') =>
    streamed(made, action, byName(action, query), clientOf(bytes).client);
  const raw = async (vdi: Ref<'VDI'>): Promise<Buffer> => {
    const { answered, client } = clientOf();
    await streamed(made, 'get_export_raw_vdi', [vdi, 'raw'], client);
    return Buffer.concat(answered);
  };
  const fill = (vdi: Ref<'VDI'>, bytes: Buffer): Promise<void> =>
    streamed(made, 'put_import_raw_vdi', [vdi, 'raw'], clientOf([bytes]).client);
  const newVm: XvaWorld['newVm'] = async (more = {}) => {
    const vm: Ref<'VM'> = await made.call('VM.create', vmFields({ name_label: 'leaving', ...more }));
    for (const [device, size] of [3 * MiB, 4 * MiB + 512].entries()) {
      const VDI = await createVdi(made, sr, { virtual_size: BigInt(size), name_label: `disk ${device}` });
      await fill(VDI, contents(size, `on disk ${device}`));
      await made.call('VBD.create', vbdFields({ VM: vm, VDI, userdevice: String(device) }));
    }
    const cd = { VM: vm, VDI: 'OpaqueRef:NULL', userdevice: '3', type: 'CD', mode: 'RO', empty: true };
    await made.call('VBD.create', vbdFields(cd));
    await made.call('VIF.create', vifFields({ VM: vm, network, device: '0' }));
    return vm;
  };
  return { ...made, storage, sr, newVm, bytesOf: raw, fill, exported, imported };
};

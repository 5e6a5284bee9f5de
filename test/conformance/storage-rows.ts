import { classes } from '../../actors/index.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { openStore } from '../../src/store/store.ts';
import type { View } from '../../src/store/view.ts';
import { memoryDisk } from '../world.ts';

// Rows as the cases of repositories and disks describe them.

type Fields = Readonly<Record<string, any>>;

export const sr = '<sr>' as Ref<'SR'>;
export const vdi = '<vdi>' as Ref<'VDI'>;

const mapOf = (of: Fields = {}): Map<any, any> => new Map(Object.entries(of));

const row = (given: Fields, cls: string): Fields =>
  Object.fromEntries(
    Object.entries(given)
      .filter(([key]) => key.startsWith(`${cls}.`))
      .map(([key, value]) => [key.slice(cls.length + 1), value]),
  );

const typed = (fields: Fields): any =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value !== null && typeof value === 'object' && !Array.isArray(value) ? mapOf(value) : value,
    ]),
  );

/** A shared repository with one attached PBD and one disk, but for what a case says. */
export const viewOf = async (given: Fields, withDisk: boolean): Promise<View> => {
  const { store } = openStore({ classes, durable: memoryDisk(), log: silentLog });
  await store.commit((tx) => {
    tx.create('pool', 'OpaqueRef:pool' as Ref<'pool'>, typed(row(given, 'pool')));
    tx.create('host', 'OpaqueRef:host' as Ref<'host'>, {});
    if (given['SM'] !== null) {
      const features = (given['SM.features'] as string[]).map((name) => [name, 1n] as const);
      tx.create('SM', 'OpaqueRef:sm' as Ref<'SM'>, {
        type: given['SR.type'] ?? 'sm',
        features: new Map(features),
      });
    }
    const { VDIs: disks, ...repository } = row(given, 'SR');
    tx.create('SR', sr, { type: 'sm', shared: true, ...typed(repository) });
    if (given['PBDs'] === undefined) {
      const attached = given['PBD.currently_attached'] ?? true;
      tx.create('PBD', 'OpaqueRef:pbd' as Ref<'PBD'>, {
        SR: sr,
        host: 'OpaqueRef:host' as Ref<'host'>,
        currently_attached: attached,
      });
    }
    for (const [i, disk] of ((disks ?? []) as Fields[]).entries()) {
      tx.create('VDI', `OpaqueRef:vdi${i}` as Ref<'VDI'>, { SR: sr, ...typed(disk) });
    }
    if (withDisk) tx.create('VDI', vdi, { SR: sr, type: 'user', managed: true, ...typed(row(given, 'VDI')) });
    for (const [i, { 'VM.is_a_snapshot': snapshot, ...vbd }] of (
      (given['VBDs'] ?? []) as Fields[]
    ).entries()) {
      const vm = `OpaqueRef:vm${i}` as Ref<'VM'>;
      tx.create('VM', vm, { is_a_snapshot: snapshot ?? false });
      tx.create('VBD', `OpaqueRef:vbd${i}` as Ref<'VBD'>, { VDI: vdi, VM: vm, mode: 'RW', ...typed(vbd) });
    }
  });
  return store.committed;
};

import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { plugAtStartKey, withPasswords } from '../../src/rules/device-config.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { figuresOf, writesRows } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';

export const plug = async (working: Working<'PBD'>): Promise<void> => {
  const { self, record, view, services } = working;
  const { storage } = services;
  const sr = view.require('SR', record.SR);
  if (record.currently_attached && storage.isSrAttached(sr.uuid)) return;
  const call = storageCall(working, 'PBD.plug');
  const attached = storage.isSrAttached(sr.uuid);
  if (!attached) working.undo(() => storage.detachSr(sr.uuid, { debugInfo: 'PBD.plug' }));
  const stat = await asking({ sr: record.SR, operation: 'plug' }, () =>
    withPasswords(view, record.device_config, (config) => storage.attachSr(sr.type, sr.uuid, config, call)),
  );
  working.settle((tx) => {
    note(tx, self, true);
    if (!writesRows(tx, sr.type)) tx.patch('SR', record.SR, figuresOf(stat));
  });
};

export const unplug = async (working: Working<'PBD'>): Promise<void> => {
  const { self, record, view, services } = working;
  const { storage } = services;
  if (!record.currently_attached) return;
  const sr = view.require('SR', record.SR);
  const used = disksInUse(working, sr);
  if (used.length > 0) throw new Fault('VDI_IN_USE', used);
  working.undo(() =>
    withPasswords(view, record.device_config, (config) =>
      storage.attachSr(sr.type, sr.uuid, config, { debugInfo: 'PBD.unplug' }),
    ),
  );
  await asking({ sr: record.SR, operation: 'unplug' }, () =>
    storage.detachSr(sr.uuid, storageCall(working, 'PBD.unplug')),
  );
  working.settle((tx) => note(tx, self, false));
};

/** Writes what is so, and has everything that follows from it derived anew. */
export const note = (tx: Tx, self: Ref<'PBD'>, attached: boolean): void => {
  const { SR, other_config } = tx.require('PBD', self);
  const reached = anyAttached(tx, SR);
  const others = [...other_config].filter(([key]) => key !== plugAtStartKey);
  tx.patch('PBD', self, { currently_attached: attached, other_config: new Map(others) });
  if (reached === anyAttached(tx, SR)) return;
  for (const ref of tx.get('SR', SR)?.VDIs ?? []) tx.touch('VDI', ref);
};

const anyAttached = (view: View, sr: Ref<'SR'>): boolean =>
  view.get('SR', sr)?.PBDs.some((ref) => view.get('PBD', ref)?.currently_attached) === true;

/** A drive is attached where its guest is; one of a guest that is nowhere keeps every host. */
const attachedHere = (view: View, host: Ref<'host'>, vbd: RecordNamed<'VBD'> | undefined): boolean => {
  if (vbd?.currently_attached !== true) return false;
  const vm = view.get('VM', vbd.VM);
  const at = [vm?.resident_on, vm?.scheduled_to_be_resident_on].filter(
    (one) => one !== undefined && one !== nullRef,
  );
  return at.length === 0 || at.includes(host);
};

/** Disks that a guest of this host or the host itself uses. */
const disksInUse = ({ view, services }: Working<'PBD'>, sr: RecordNamed<'SR'>): readonly Ref<'VDI'>[] =>
  sr.VDIs.filter((ref) => {
    const vdi = view.require('VDI', ref);
    const plugged = vdi.VBDs.some((vbd) => attachedHere(view, services.host, view.get('VBD', vbd)));
    return (
      (plugged && vdi.type !== 'metadata') || services.storage.datapaths(sr.uuid, vdi.location).length > 0
    );
  });

/**
 * A connection has no operations of its own; that it is being made or ended stands on its repository, where
 * it keeps scans and changes of disks waiting. Several hosts may connect side by side.
 */
export const onRepository =
  (operation: 'plug' | 'unplug' | 'pbd_destroy') =>
  (_: object, view: View, self: Ref<'PBD'>): readonly Hold[] => [
    { cls: 'SR', ref: view.require('PBD', self).SR, operation },
  ];

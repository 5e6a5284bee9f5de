import type { Storage, StorageCall } from '../../src/drivers/storage/storage.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { pbdOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';

// A drive of a control domain: the host itself has the disk open, and says in `runtime_properties` where its
// programs find the bytes. It ends with this process, so after a start no such drive is attached.

type Drive = Working<'VBD'>;

interface Opened {
  readonly open: Pick<Storage, 'openVolume' | 'closeVolume'>;
  readonly volume: readonly [sr: string, key: string, datapath: string];
}

const openedBy = ({ view, record, services }: Drive, vdi: Ref<'VDI'>): Opened => {
  const { SR, location } = view.require('VDI', vdi);
  const { uuid } = view.require('SR', SR);
  return { open: services.storage, volume: [uuid, location, `vbd/${record.uuid}`] };
};

/** An empty drive has nothing to open. */
export const openInHost = async (working: Drive, vdi: Ref<'VDI'>): Promise<void> => {
  const { self, record, view, services } = working;
  if (vdi === nullRef) return;
  const { SR } = view.require('VDI', vdi);
  if (pbdOf(view, SR, services.host) === undefined) throw new Fault('VM_REQUIRES_SR', [record.VM, SR]);
  const { open, volume } = openedBy(working, vdi);
  const call: StorageCall = storageCall(working, 'VBD.plug');
  working.undo(() => open.closeVolume(...volume, { debugInfo: call.debugInfo }));
  const { address } = await asking({ sr: SR, vdi, operation: 'plug' }, () =>
    open.openVolume(...volume, record.mode === 'RW', call),
  );
  const found = address === undefined ? [] : ([['address', address]] as const);
  working.settle((tx) => tx.patch('VBD', self, { runtime_properties: new Map(found) }));
};

export const closeInHost = async (working: Drive): Promise<void> => {
  const { self, record, view } = working;
  if (view.get('VDI', record.VDI) !== undefined) {
    const { open, volume } = openedBy(working, record.VDI);
    await asking({ sr: view.require('VDI', record.VDI).SR, vdi: record.VDI, operation: 'unplug' }, () =>
      // Whoever gives up meanwhile would leave it half closed.
      open.closeVolume(...volume, { debugInfo: 'VBD.unplug' }),
    );
  }
  working.settle((tx) => tx.patch('VBD', self, { runtime_properties: new Map() }));
};

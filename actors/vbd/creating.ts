import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { deviceNumberOf, linuxDevice } from '../../src/objects/device-numbers.ts';
import { isHvm } from '../../src/objects/guest-devices.ts';
import type { AnyHandler } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';

type Fields = Partial<RecordNamed<'VBD'>>;

export const drivesMax = 255;

const keysTaken = (view: View, vm: RecordNamed<'VM'>): ReadonlySet<string> =>
  new Set(
    vm.VBDs.flatMap((ref) => {
      const number = deviceNumberOf(view.get('VBD', ref)?.userdevice ?? '', isHvm(vm));
      return number === undefined ? [] : [linuxDevice(number)];
    }),
  );

/** The position asked for, if it is one and free, or the first free one. */
const positionOf = (view: View, vm: RecordNamed<'VM'>, userdevice: string): string => {
  const taken = keysTaken(view, vm);
  const keyAt = (position: string): string | undefined => {
    const number = deviceNumberOf(position, isHvm(vm));
    return number === undefined || number.disk < 0 ? undefined : linuxDevice(number);
  };
  if (userdevice === 'autodetect') {
    const all = Array.from({ length: drivesMax }, (_, i) => String(i));
    const found = all.find((position) => !taken.has(keyAt(position) ?? ''));
    if (found === undefined) throw new Fault('INVALID_DEVICE', [userdevice]);
    return found;
  }
  const key = keyAt(userdevice);
  if (key === undefined) throw new Fault('INVALID_DEVICE', [userdevice]);
  if (taken.has(key)) throw new Fault('DEVICE_ALREADY_EXISTS', [userdevice]);
  return userdevice;
};

/** The disk in the new drive: only drives with removable media can be empty. */
const diskOf = (tx: Tx, fields: Fields): Ref<'VDI'> => {
  const { type, empty, mode } = fields;
  if (type === 'CD' && mode === 'RW') throw new Fault('VBD_CDS_MUST_BE_READONLY');
  if (empty === true) {
    if (type === 'Disk') throw new Fault('VBD_NOT_REMOVABLE_MEDIA', [nullRef]);
    return nullRef as Ref<'VDI'>;
  }
  const vdi = fields.VDI ?? (nullRef as Ref<'VDI'>);
  const { read_only, managed } = tx.require('VDI', vdi);
  if (!managed) throw new Fault('VDI_NOT_MANAGED', [vdi]);
  if (read_only && mode === 'RW') throw new Fault('VDI_READONLY', [vdi]);
  return vdi;
};

export const create: AnyHandler = {
  on: ({ VM }: Fields) => VM ?? nullRef,
  decide: ({ tx, services }, fields: Fields) => {
    const vm = tx.require('VM', fields.VM ?? (nullRef as Ref<'VM'>));
    const VDI = diskOf(tx, fields);
    const userdevice = positionOf(tx, vm, fields.userdevice ?? 'autodetect');
    const self = newRef<'VBD'>(services);
    tx.create('VBD', self, {
      ...fields,
      uuid: services.random.uuid(),
      VDI,
      userdevice,
      device: '',
      currently_attached: false,
    });
    return self;
  },
};

export const destroy: AnyHandler = {
  decide: ({ tx, self }) => {
    const vbd = tx.require('VBD', self as Ref<'VBD'>);
    const [busy] = vbd.current_operations;
    if (busy !== undefined) throw new Fault('OTHER_OPERATION_IN_PROGRESS', ['VBD', self, busy[1], busy[0]]);
    if (vbd.currently_attached || vbd.reserved) {
      const reason = `VBD '${vbd.uuid}' still attached to '${tx.get('VM', vbd.VM)?.uuid ?? ''}'`;
      throw new Fault('OPERATION_NOT_ALLOWED', [reason]);
    }
    tx.delete('VBD', self as Ref<'VBD'>);
  },
};

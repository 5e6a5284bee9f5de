import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Handler } from '../../src/objects/implement.ts';
import { demand, type Refusal } from '../../src/objects/refusal.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { deviceNumberOf, linuxDevice } from '../../src/rules/device-numbers.ts';
import { drivePositions } from '../../src/rules/guest-capabilities.ts';
import { isHvm } from '../../src/rules/guest-devices.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';

type Fields = Partial<RecordNamed<'VBD'>>;

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
    const all = Array.from({ length: drivePositions(view, vm) }, (_, i) => String(i));
    const found = all.find((position) => !taken.has(keyAt(position) ?? ''));
    if (found === undefined) throw new Fault('INVALID_DEVICE', [userdevice]);
    return found;
  }
  const key = keyAt(userdevice);
  if (key === undefined) throw new Fault('INVALID_DEVICE', [userdevice]);
  if (taken.has(key)) throw new Fault('DEVICE_ALREADY_EXISTS', [userdevice]);
  return userdevice;
};

/** What only the pool itself keeps on disks is in no drive. */
const notForDrives: Partial<Record<RecordNamed<'VDI'>['type'], string>> = {
  ha_statefile: 'HA statefile',
  redo_log: 'Redo log',
  cbt_metadata: 'CBT metadata',
};

/** The disk in the new drive: only CD drives can be empty, and be given a disk later. */
const diskOf = (tx: Tx, fields: Fields): Ref<'VDI'> => {
  const { type, empty, mode } = fields;
  const vdi = fields.VDI ?? (nullRef as Ref<'VDI'>);
  const disk = empty === true ? undefined : tx.require('VDI', vdi);
  const kept = disk && notForDrives[disk.type];
  if (kept !== undefined) throw new Fault('VDI_INCOMPATIBLE_TYPE', [vdi, kept]);
  if (type === 'CD' && mode === 'RW') throw new Fault('VBD_CDS_MUST_BE_READONLY');
  if (disk === undefined) {
    if (type !== 'CD') throw new Fault('VBD_NOT_REMOVABLE_MEDIA', ['in constructor']);
    return nullRef as Ref<'VDI'>;
  }
  if (!disk.managed) throw new Fault('VDI_NOT_MANAGED', [vdi]);
  if (disk.read_only && mode === 'RW') throw new Fault('VDI_READONLY', [vdi]);
  return vdi;
};

/** Nothing is added to a VM that is on its way to another host, which knows it as it was. */
const leavingRefusal = (self: Ref<'VM'>, vm: RecordNamed<'VM'>): Refusal | undefined => {
  const going = [...vm.current_operations].find(
    ([, one]) => one === 'migrate_send' || one === 'pool_migrate',
  );
  return going && ['OTHER_OPERATION_IN_PROGRESS', 'VM', self, going[1], going[0]];
};

/** The driver of a disk may ask for a kind of back end for whoever has the disk in a drive. */
const withBackendKind = (view: View, fields: Fields, vdi: Ref<'VDI'>): ReadonlyMap<string, string> => {
  const own = fields.other_config ?? new Map<string, string>();
  const kind = view.get('VDI', vdi)?.sm_config.get('backend-kind');
  return kind === undefined ? own : new Map([...own, ['backend-kind', kind]]);
};

export const create: Handler<any, any, any> = {
  on: ({ VM }: Fields) => VM ?? nullRef,
  decide: ({ tx, services }, fields: Fields) => {
    const vm = tx.require('VM', fields.VM ?? (nullRef as Ref<'VM'>));
    const VDI = diskOf(tx, fields);
    demand(leavingRefusal(fields.VM ?? (nullRef as Ref<'VM'>), vm));
    const userdevice = positionOf(tx, vm, fields.userdevice ?? 'autodetect');
    const self = newRef<'VBD'>(services);
    // Of a suspended VM its memory image knows where its drives were.
    const place = vm.power_state === 'Suspended' ? {} : { device: '', currently_attached: false };
    tx.create('VBD', self, {
      ...fields,
      ...place,
      uuid: services.random.uuid(),
      VDI,
      userdevice,
      other_config: withBackendKind(tx, fields, VDI),
    });
    return self;
  },
};

export const destroy: Handler<any, any, any> = {
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

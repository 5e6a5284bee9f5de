import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, map, nullRef, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const vbdOperations = oneOf('vbd_operations', [
  'attach',
  'eject',
  'insert',
  'plug',
  'unplug',
  'unplug_force',
  'pause',
  'unpause',
]);
export const vbdMode = oneOf('vbd_mode', ['RO', 'RW']);
export const vbdType = oneOf('vbd_type', ['CD', 'Disk', 'Floppy']);

export const VBD = defineClass('VBD', {
  doc: 'A disk or CD drive of a VM, and the disk that is in it.',
  since,
  writeRole: 'vm-admin',
  constructible: true,
  needs: ['VM', 'VDI'],
  takes: ['metrics'],
  fields: {
    uuid: dyn(string, 'Identity of the drive, not of the disk in it.'),
    allowed_operations: dyn(
      set(vbdOperations),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, vbdOperations),
      'What runs on the drive at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    VM: ro(ref('VM'), 'The VM it belongs to.', { inverse: 'VM.VBDs', gone: 'collected' }),
    VDI: ro(ref('VDI'), 'Disk that is in it; null if the drive is empty.', {
      inverse: 'VDI.VBDs',
      gone: 'goes too',
    }),
    device: ro(label, 'Name the guest sees, such as `xvda`; empty until the drive was plugged.', {
      default: '',
    }),
    userdevice: rw(
      label,
      'Position asked for: a number such as `0`, a name such as `xvda`, or `autodetect`.',
    ),
    bootable: rw(bool, 'True if a paravirtualised guest boots from it.'),
    mode: ro(vbdMode, 'Whether the guest may write; CDs are read-only.'),
    type: rw(vbdType, 'What the guest sees: a fixed disk, a CD drive or a floppy drive.'),
    unpluggable: rw(bool, 'True if it may be unplugged while the guest runs.', { default: true }),
    storage_lock: dyn(bool, 'Always false; locking is the business of storage drivers.'),
    empty: ro(bool, 'True if no disk is in it, which only drives with removable media can be.'),
    reserved: dyn(bool, 'True while an operation holds the drive for itself.', {
      default: false,
      internal: true,
    }),
    other_config: rw(stringMap, 'Settings of clients and some of ours, such as `backend-kind`.'),
    currently_attached: ro(bool, 'True while the drive is plugged into a running guest.', { default: false }),
    status_code: dyn(int, 'Result of the last attach as a number; 0 is success.'),
    status_detail: dyn(string, 'What went wrong at the last attach; empty if nothing did.'),
    runtime_properties: dyn(stringMap, 'Facts about the attached device, by name.'),
    qos_algorithm_type: rw(
      string,
      'How input and output are prioritised: `ionice`, or empty for no choice.',
      { column: 'qos__algorithm_type' },
    ),
    qos_algorithm_params: rw(stringMap, 'Settings of the priority, such as `sched` and `class`.', {
      column: 'qos__algorithm_params',
    }),
    qos_supported_algorithms: dyn(set(string), 'Ways to prioritise that this drive could use.', {
      column: 'qos__supported_algorithms',
    }),
    metrics: dyn(ref('VBD_metrics'), 'Always null; figures are among the recorded measurements of the VM.', {
      default: nullRef,
      removed: true,
      gone: 'cleared',
    }),
  },
  messages: {
    eject: {
      frees: true,
      doc: 'Takes the disk out of a CD drive, also while the guest runs.',
      role: 'vm-operator',
      self: 'vbd',
      errors: ['VBD_NOT_REMOVABLE_MEDIA', 'VBD_IS_EMPTY'],
      async: true,
    },
    insert: {
      doc: 'Puts a disk into an empty CD drive, also while the guest runs.',
      role: 'vm-operator',
      self: 'vbd',
      params: {
        vdi: [ref('VDI'), 'Disk to put in.'],
      },
      errors: ['VBD_NOT_REMOVABLE_MEDIA', 'VBD_NOT_EMPTY'],
      async: true,
    },
    plug: {
      doc: 'Attaches the disk to its host and the drive to the running guest.',
      role: 'vm-admin',
      self: 'self',
      async: true,
    },
    unplug: {
      frees: true,
      doc: 'Takes the drive away from the running guest, with its consent, and detaches the disk.',
      role: 'vm-admin',
      self: 'self',
      errors: ['DEVICE_DETACH_REJECTED', 'DEVICE_ALREADY_DETACHED'],
      async: true,
    },
    unplug_force: {
      frees: true,
      doc: 'Takes the drive away from the running guest whether it likes it or not; data may be lost.',
      role: 'vm-admin',
      self: 'self',
      async: true,
    },
    unplug_force_no_safety_check: {
      frees: true,
      doc: 'Forces an unplug even where one is declared unsafe, for use on a dead guest.',
      role: 'vm-admin',
      self: 'self',
      async: true,
      hidden: true,
    },
    assert_attachable: {
      doc: 'Fails with the reason if the drive could not be plugged now.',
      role: 'vm-admin',
      self: 'self',
      async: true,
    },
    pause: {
      doc: 'Holds back all input and output so that the storage may change underneath, and returns a token.',
      role: 'vm-admin',
      self: 'self',
      result: string,
      async: true,
      hidden: true,
    },
    unpause: {
      doc: 'Lets input and output go on after a pause.',
      role: 'vm-admin',
      self: 'self',
      params: {
        token: [string, 'What `pause` returned; empty to go on in any case.', ''],
      },
      async: true,
      hidden: true,
    },
    set_mode: {
      doc: 'Chooses whether the guest may write; the drive must not be plugged.',
      role: 'vm-admin',
      self: 'self',
      params: {
        value: [vbdMode, '`RO` or `RW`.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VBD: typeof VBD;
  }
}

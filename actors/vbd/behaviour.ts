import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { demand, faultFrom } from '../../src/objects/refusal.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { type VbdOperation, vbdAllowedOperations, vbdRefusal } from './admission.ts';
import { VBD } from './class.ts';
import { create, destroy } from './creating.ts';
import { eject, insert, plug, unplug } from './plugging.ts';

/** An empty drive needs no disk, and a CD drive outlives its disk; neither outlives its VM. */
const leaveDrive = (tx: Tx, self: Ref<'VBD'>, { VM, type, empty }: RecordNamed<'VBD'>): boolean => {
  if (tx.get('VM', VM) === undefined) return false;
  if (!empty && type === 'CD') tx.patch('VBD', self, { VDI: nullRef as Ref<'VDI'>, empty: true });
  return empty || type === 'CD';
};

export default implement(
  VBD,
  {
    owner: ({ VM }) => ['VM', VM],
    admit: (view, self, operation) => faultFrom(vbdRefusal(view, self, operation as VbdOperation)),
    derive: (view, self, record) => ({ allowed_operations: vbdAllowedOperations(view, self, record) }),
    affects: ({ VM, VDI }) => [
      ['VM', VM],
      ['VDI', VDI],
    ],
    spare: leaveDrive,
  },
  {
    create,
    destroy,
    plug: { operation: 'plug', work: plug },
    unplug: { operation: 'unplug', work: (working) => unplug(working, false) },
    unplug_force: { operation: 'unplug_force', work: (working) => unplug(working, true) },
    unplug_force_no_safety_check: { operation: 'unplug_force', work: (working) => unplug(working, true) },
    insert: { operation: 'insert', work: (working, { vdi }) => insert(working, vdi) },
    eject: { operation: 'eject', work: eject },
    assert_attachable: {
      read: ({ view, self }) => demand(vbdRefusal(view, self as Ref<'VBD'>, 'attach')),
    },
    set_mode: {
      decide: ({ tx, self }, { value }) => {
        const ref = self as Ref<'VBD'>;
        const vbd = tx.require('VBD', ref);
        const state = tx.require('VM', vbd.VM).power_state;
        if (state !== 'Halted')
          throw new Fault('VM_BAD_POWER_STATE', [vbd.VM, 'halted', state.toLowerCase()]);
        if (vbd.type === 'CD' && value === 'RW') throw new Fault('VBD_CDS_MUST_BE_READONLY');
        if (value === 'RW' && tx.get('VDI', vbd.VDI)?.read_only === true) {
          throw new Fault('VDI_READONLY', [vbd.VDI]);
        }
        tx.patch('VBD', ref, { mode: value });
      },
    },
    set_userdevice: {
      decide: ({ tx, self }, { value }: { readonly value: string }) => {
        const ref = self as Ref<'VBD'>;
        if (tx.require('VBD', ref).currently_attached) throw new Fault('DEVICE_ALREADY_ATTACHED', [self]);
        tx.patch('VBD', ref, { userdevice: value });
      },
    },
  },
);

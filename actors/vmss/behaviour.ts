import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { VMSS } from './class.ts';
import { runPolicy } from './running.ts';
import { fitted, mergedSchedule, newSchedule, withoutKey } from './schedule.ts';

type Policy = RecordNamed<'VMSS'>;

export const retainedMax = 10n;

const assertRetained = (value: bigint): void => {
  if (value < 1n || value > retainedMax) {
    throw new Fault('INVALID_VALUE', ['retained_snapshots', String(value)]);
  }
};

/** No guest here can be asked to bring its disks to rest. */
const assertType = (value: Policy['type']): void => {
  if (value === 'snapshot_with_quiesce') throw new Fault('INVALID_VALUE', ['type', value]);
};

const setting = <A>(make: (tx: Tx, self: Ref<'VMSS'>, args: A) => void) => ({
  decide: ({ tx, self }: Deciding, args: A): void => make(tx, self as Ref<'VMSS'>, args),
});

const change = (tx: Tx, self: Ref<'VMSS'>, changed: (policy: Policy) => Partial<Policy>): void =>
  tx.patch('VMSS', self, changed(tx.require('VMSS', self)));

export default implement(
  VMSS,
  {},
  {
    create: {
      decide: ({ tx, services }: Deciding, fields: Partial<Policy>) => {
        const { frequency = 'daily', schedule = new Map(), type = 'snapshot' } = fields;
        if (fields.retained_snapshots !== undefined) assertRetained(fields.retained_snapshots);
        assertType(type);
        const ref = newRef<'VMSS'>(services);
        const made = { uuid: services.random.uuid(), schedule: newSchedule(frequency, schedule) };
        tx.create('VMSS', ref, { ...fields, ...made });
        return ref;
      },
    },
    destroy: setting((tx, self) => {
      if (tx.require('VMSS', self).VMs.length > 0) throw new Fault('VMSS_HAS_VM');
      tx.delete('VMSS', self);
    }),
    snapshot_now: { work: runPolicy },
    set_retained_snapshots: setting((tx, self, { value }) => {
      assertRetained(value);
      tx.patch('VMSS', self, { retained_snapshots: value });
    }),
    set_frequency: setting((tx, self, { value }) =>
      change(tx, self, ({ schedule }) => ({ frequency: value, schedule: fitted(value, schedule) })),
    ),
    set_schedule: setting((tx, self, { value }) =>
      change(tx, self, ({ schedule }) => ({ schedule: mergedSchedule(schedule, value) })),
    ),
    add_to_schedule: setting((tx, self, { key, value }) =>
      change(tx, self, ({ schedule }) => ({ schedule: mergedSchedule(schedule, new Map([[key, value]])) })),
    ),
    remove_from_schedule: setting((tx, self, { key }) =>
      change(tx, self, ({ frequency, schedule }) => ({ schedule: withoutKey(frequency, schedule, key) })),
    ),
    set_last_run_time: setting((tx, self, { value }) => tx.patch('VMSS', self, { last_run_time: value })),
    set_type: setting((tx, self, { value }) => {
      assertType(value);
      tx.patch('VMSS', self, { type: value });
    }),
  },
);

import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { type Deciding, implement, type Working } from '../../src/objects/implement.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import { type ApplianceOperation, applianceOperations, applianceRefusal } from './admission.ts';
import { VM_appliance } from './class.ts';
import { groupsOf, type Wish } from './order.ts';

type Appliance = Working<'VM_appliance'>;

/** A VM may ask for a longer pause in the sequence, and gets this one. */
export const pauseSMax = 24 * 60 * 60;

const pause = ({ services, signal }: Appliance, seconds: bigint): Promise<void> =>
  seconds <= 0n
    ? Promise.resolve()
    : sleep(services.clock, Math.min(Number(seconds), pauseSMax) * 1000, signal);

/** A start is followed by a pause, and whatever ends a VM comes after one. */
const run = async (working: Appliance, vm: Ref<'VM'>, { operation, paused }: Wish): Promise<void> => {
  const { start_delay, shutdown_delay } = working.view.require('VM', vm);
  if (operation !== 'start') {
    await pause(working, shutdown_delay);
    return working.call(`VM.${operation}`, vm, {});
  }
  await working.call('VM.start', vm, { start_paused: paused === true, force: false });
  await pause(working, start_delay);
};

/**
 * A VM that fails keeps no other from its turn; which ones did is the answer. Whoever cancels ends what is
 * under way, and the rest does not begin.
 */
const sequence = async (working: Appliance, wish: Wish): Promise<void> => {
  const { view, self, signal, services, progress } = working;
  const groups = groupsOf(view, self, wish);
  const failed: Ref<'VM'>[] = [];
  for (const [index, group] of groups.entries()) {
    signal.throwIfAborted();
    const attempts = group.map((vm) =>
      run(working, vm, wish).catch((error: unknown) => {
        services.log.info({ error, vm, operation: wish.operation }, 'A VM of an appliance failed');
        failed.push(vm);
      }),
    );
    await Promise.all(attempts);
    progress((index + 1) / groups.length);
  }
  signal.throwIfAborted();
  if (failed.length === 0) return;
  throw new Fault('OPERATION_PARTIALLY_FAILED', [`VM_appliance.${wish.operation}`, ...failed]);
};

const ended = (operation: ApplianceOperation) => ({
  operation,
  work: (working: Appliance) => sequence(working, { operation }),
});

export default implement(
  VM_appliance,
  {
    admit: (view, self, operation) =>
      faultFrom(applianceRefusal(view, self, operation as ApplianceOperation)),
    derive: (view, self) => ({
      allowed_operations: applianceOperations.filter(
        (operation) => applianceRefusal(view, self, operation) === undefined,
      ),
    }),
  },
  {
    create: {
      decide: ({ tx, services }: Deciding, fields: Partial<RecordNamed<'VM_appliance'>>) => {
        const ref = newRef<'VM_appliance'>(services);
        tx.create('VM_appliance', ref, { ...fields, uuid: services.random.uuid() });
        return ref;
      },
    },
    destroy: {
      decide: ({ tx, self }: Deciding) => {
        const appliance = self as Ref<'VM_appliance'>;
        const { VMs, current_operations } = tx.require('VM_appliance', appliance);
        const [busy] = current_operations;
        if (busy !== undefined) {
          throw new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM_appliance', self, busy[1], busy[0]]);
        }
        for (const vm of VMs) tx.patch('VM', vm, { appliance: nullRef as Ref<'VM_appliance'> });
        tx.delete('VM_appliance', appliance);
      },
    },
    start: {
      operation: 'start',
      work: (working, { paused }) => sequence(working, { operation: 'start', paused }),
    },
    clean_shutdown: ended('clean_shutdown'),
    hard_shutdown: ended('hard_shutdown'),
    shutdown: ended('shutdown'),
  },
);

import { isMissing } from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { guestOf } from '../../src/rules/guests.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { becomeHalted } from './halting.ts';
import type { VmHandlers } from './handlers.ts';
import type { Operation } from './operations.ts';
import { expectState } from './power.ts';
import { destinationOf } from './reserving.ts';
import { fallAsleep } from './sleeping.ts';

type Vm = Working<'VM'>;

/** How long a guest that was asked to end has for it. */
const guestTimeoutSMax = 1200;
/** Where nothing in the guest tells that it was heard, it most likely was not. */
const unheardTimeoutSMax = 90;

const timeoutOf = ({ view, record }: Vm): number =>
  guestOf(view, record).hasDrivers ? guestTimeoutSMax : unheardTimeoutSMax;

/** What the way out ends: waiting for it could take as long as the guest likes. */
const cutByShutdown: readonly Operation[] = [
  'start',
  'start_on',
  'resume',
  'resume_on',
  'clean_shutdown',
  'clean_reboot',
  'hard_reboot',
  'pool_migrate',
  'call_plugin',
  'shutdown',
  'suspend',
  'checkpoint',
];
const cutByReboot: readonly Operation[] = [
  'clean_shutdown',
  'clean_reboot',
  'pool_migrate',
  'call_plugin',
  'suspend',
  'checkpoint',
];

/**
 * A guest that is asleep for a checkpoint is woken before its power is cut: what it sleeps in and what wakes
 * it are the checkpoint's, which ends at once as it is cut.
 */
const untilAwake = (view: View, self: Ref<'VM'>): Fault | undefined => {
  const [task] =
    [...view.require('VM', self).current_operations].find(([, one]) => one === 'checkpoint') ?? [];
  return task === undefined
    ? undefined
    : new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, 'checkpoint', task]);
};

const shutDown = async (working: Vm, timeoutS: number | undefined, method: string): Promise<void> => {
  const { hypervisor } = working.services;
  const { uuid } = working.record;
  await asked(method, hypervisor.shutdown(uuid, timeoutS, xenopsWork(working, method)));
  await asked(method, expectState(working, hypervisor, ['Halted']));
};

/** Whoever shuts a VM down or suspends it does not want it restarted. */
const release = ({ self, settle }: Vm): void =>
  settle((tx) => {
    if (tx.get('VM', self) !== undefined) tx.patch('VM', self, { ha_always_run: false });
  });

const cleanShutdown = async (working: Vm): Promise<void> => {
  await shutDown(working, timeoutOf(working), 'VM.clean_shutdown');
  release(working);
};

const discardImage = async (working: Vm): Promise<void> => {
  const { self } = working;
  const image = working.record.suspend_VDI;
  if (working.view.get('VDI', image) !== undefined) await destruct(working, 'VDI', image);
  await working.services.hypervisor.remove(working.record.uuid).catch((error: unknown) => {
    working.services.log.debug({ error, vm: self }, 'A suspended VM was not removed from the hypervisor');
  });
  working.settle((tx) => {
    becomeHalted(tx, self);
    tx.patch('VM', self, { suspend_VDI: nullRef as Ref<'VDI'> });
  });
};

/** One that has just moved away is not gone: it runs there, and is ended there when the call is repeated. */
const assertHere = (tx: Tx, { self, services }: Vm): void => {
  const to = destinationOf(tx, self);
  const moved =
    tx.require('VM', self).resident_on !== services.host || (to ?? services.host) !== services.host;
  if (moved) throw new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, 'pool_migrate', '']);
};

/** Power is cut. A guest that is gone already, whoever ended it, is what was asked for. */
const hardShutdown = async (working: Vm): Promise<void> => {
  release(working);
  if (working.record.power_state === 'Suspended') return discardImage(working);
  try {
    await shutDown(working, undefined, 'VM.hard_shutdown');
  } catch (error) {
    if (!isMissing(error)) throw error;
    working.settle((tx) => {
      assertHere(tx, working);
      becomeHalted(tx, working.self);
    });
  }
};

const reboot = async (working: Vm, timeoutS: number | undefined, method: string): Promise<void> => {
  const { hypervisor } = working.services;
  await asked(method, hypervisor.reboot(working.record.uuid, timeoutS, xenopsWork(working, method)));
  await asked(method, expectState(working, hypervisor, ['Running']));
};

const suspend = async (working: Vm): Promise<void> => {
  await fallAsleep(working, 'VM.suspend');
  release(working);
};

/**
 * For a VM whose row is wrong, or whose host is lost: then the coordinator does this, and takes the client's
 * word for it. One that runs here would be lost sight of.
 */
const reset = async (working: Vm): Promise<void> => {
  const { self, services } = working;
  const { uuid, domid, power_state, resident_on } = working.record;
  const live = power_state === 'Running' || power_state === 'Paused';
  if (live && (resident_on === services.host || resident_on === nullRef)) {
    const state = await asked('VM.power_state_reset', services.hypervisor.stat(uuid));
    const there = state?.power_state === 'Running' || state?.power_state === 'Paused';
    if (there) throw new Fault('DOMAIN_EXISTS', [self, String(domid)]);
  }
  working.settle((tx) => {
    becomeHalted(tx, self);
    tx.patch('VM', self, { current_operations: new Map(), suspend_VDI: nullRef as Ref<'VDI'> });
  });
};

export const stopping = {
  clean_shutdown: { operation: 'clean_shutdown', work: cleanShutdown },
  hard_shutdown: {
    operation: 'hard_shutdown',
    cuts: cutByShutdown,
    unless: untilAwake,
    work: hardShutdown,
  },
  shutdown: {
    operation: 'shutdown',
    work: async (working) => {
      if (working.record.power_state !== 'Running') return hardShutdown(working);
      try {
        await cleanShutdown(working);
      } catch (error) {
        working.signal.throwIfAborted();
        working.services.log.info(
          { error, vm: working.self },
          'A guest did not shut down when asked: power is cut',
        );
        await hardShutdown(working);
      }
    },
  },
  clean_reboot: {
    operation: 'clean_reboot',
    work: (working) => reboot(working, timeoutOf(working), 'VM.clean_reboot'),
  },
  hard_reboot: {
    operation: 'hard_reboot',
    cuts: cutByReboot,
    unless: untilAwake,
    work: (working) => reboot(working, undefined, 'VM.hard_reboot'),
  },
  suspend: { operation: 'suspend', work: suspend },
  power_state_reset: { operation: 'power_state_reset', offline: true, work: reset },
} satisfies VmHandlers;

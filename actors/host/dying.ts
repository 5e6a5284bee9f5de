import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Deciding, Working } from '../../src/objects/implement.ts';
import { isLive } from '../../src/objects/places.ts';
import type { Services } from '../../src/objects/services.ts';
import { failTasksOf } from '../../src/objects/tasks.ts';
import { forgetConnection } from '../../src/rules/device-config.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { guestsOn } from './evacuating.ts';

// What the pool does about a host that does not come back. As long as nobody says that it is surely off, its
// guests may still run, and nothing is done with them.

/** Guests that are settled at once. */
const batch = 20;

const assertDead = (view: View, host: Ref<'host'>): void => {
  const { ha_enabled, master } = view.only('pool')[1];
  if (master === host) throw new Fault('HOST_CANNOT_DESTROY_SELF', [host]);
  if (isLive(view, host)) throw new Fault('HOST_IS_LIVE', [host]);
  if (ha_enabled) throw new Fault('HA_IS_ENABLED');
};

/** VMs that are there or on their way, whose fate nobody knew. */
const atOf = (view: View, host: Ref<'host'>): readonly Ref<'VM'>[] =>
  [...view.all('VM')]
    .filter(([, { is_control_domain, power_state, resident_on, scheduled_to_be_resident_on: coming }]) => {
      const there = resident_on === host || (resident_on === nullRef && coming === host);
      return there && !is_control_domain && power_state !== 'Suspended';
    })
    .map(([vm]) => vm);

/** Tasks that the host did or waited for end with it, and nothing moves there any more. */
const forgetWork = (tx: Tx, host: Ref<'host'>, services: Pick<Services, 'clock'>): void => {
  failTasksOf(tx, host, services);
  for (const [step, { from }] of [...tx.all('xenact_step')]) {
    if (from === host) tx.delete('xenact_step', step);
  }
  const nowhere = nullRef as Ref<'host'>;
  for (const [vm, { scheduled_to_be_resident_on, resident_on, power_state }] of tx.all('VM')) {
    if (scheduled_to_be_resident_on === host) tx.patch('VM', vm, { scheduled_to_be_resident_on: nowhere });
    // It slept there for a checkpoint: with its memory on a disk it can be woken elsewhere.
    if (resident_on === host && power_state === 'Suspended') tx.patch('VM', vm, { resident_on: nowhere });
  }
};

/**
 * The host is off for sure: whatever was said to run there is halted, and can be started elsewhere. Should it
 * come back all the same, it ends what it still runs of that.
 */
export const declareDead = async (working: Working<'host'>): Promise<void> => {
  const { self, view, services, call } = working;
  assertDead(view, self);
  await services.membership?.setAside(self);
  const left = [...atOf(view, self)];
  const next = async (): Promise<void> => {
    for (let vm = left.shift(); vm !== undefined; vm = left.shift())
      await call('VM.power_state_reset', vm, {});
  };
  await Promise.all(Array.from({ length: Math.min(batch, left.length) }, next));
  working.settle((tx) => {
    assertDead(tx, self);
    forgetWork(tx, self, services);
  });
};

/** A dead host that is empty is forgotten. */
export const destroy = (deciding: Deciding): void => {
  const { tx, services } = deciding;
  const self = deciding.self as Ref<'host'>;
  assertDead(tx, self);
  if (guestsOn(tx, self).length > 0) throw new Fault('HOST_HAS_RESIDENT_VMS', [self]);
  forgetHost(tx, self, services);
};

/** A host goes, with what is nothing without it. */
export const forgetHost = (tx: Tx, self: Ref<'host'>, services: Pick<Services, 'clock'>): void => {
  forgetWork(tx, self, services);
  const { PBDs, PIFs, resident_VMs } = tx.require('host', self);
  for (const vm of resident_VMs) tx.delete('VM', vm);
  for (const pbd of PBDs) forgetConnection(tx, pbd);
  for (const pif of PIFs) tx.delete('PIF', pif);
  tx.delete('host', self);
};

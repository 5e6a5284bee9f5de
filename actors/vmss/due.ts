import { millisecondsOf, type Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { leaveAlert } from '../../src/rules/messages.ts';
import { nextRunMs } from './schedule.ts';

export interface Scheduling {
  readonly invoker: Pick<Invoker, 'call'>;
  readonly services: Services;
}

/**
 * Makes the pass that runs schedules which fell due since the one before. A time that nobody looked at, as
 * the pool was off, is gone; a schedule whose last run has not ended misses its time, which a message says.
 * Every host looks, so that whoever begins to lead knows from when on it has to.
 */
export const scheduleRunner = ({ invoker, services }: Scheduling): ((leads: boolean) => Promise<void>) => {
  const { clock, store, log } = services;
  const underway = new Set<Ref<'VMSS'>>();
  let lookedMs = clock.now();

  const missed = (policy: Ref<'VMSS'>, uuid: string): Promise<unknown> => {
    const body = 'Snapshots were not taken, as those of the time before were not ready yet';
    const alert = { name: 'VMSS_SNAPSHOT_MISSED_EVENT', cls: 'VMSS', obj_uuid: uuid, body } as const;
    log.warn({ policy }, body);
    return store.commit((tx) => leaveAlert(tx, services, alert));
  };
  const begin = (policy: Ref<'VMSS'>): void => {
    underway.add(policy);
    invoker
      .call('VMSS.snapshot_now', policy, {})
      .catch((error: unknown) => log.warn({ error, policy }, 'Snapshots of a schedule could not be taken'))
      .finally(() => underway.delete(policy));
  };

  return async (leads) => {
    const [fromMs, nowMs] = [lookedMs, clock.now()];
    lookedMs = nowMs;
    if (!leads) return;
    for (const [ref, policy] of [...store.committed.all('VMSS')]) {
      if (!policy.enabled || policy.VMs.length === 0) continue;
      const dueMs = nextRunMs(policy.frequency, policy.schedule, fromMs + 1);
      if (dueMs === undefined || dueMs > nowMs) continue;
      // Whoever led before may have seen to it.
      if (millisecondsOf(policy.last_run_time) >= dueMs) continue;
      if (underway.has(ref)) await missed(ref, policy.uuid);
      else begin(ref);
    }
  };
};

import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Store } from '../../src/store/store.ts';

// A guest that sleeps for a moment only, which is noted for a host that ends meanwhile: it did not want to.

const operation = 'VM.checkpoint';

/** From now on, until the work has settled. */
export const noteNap = async (working: Working<'VM'>): Promise<void> => {
  const { self, task, services, record } = working;
  const ref = newRef<'xenact_step'>(services);
  const { host } = services;
  working.undo(() => working.commit((tx) => tx.delete('xenact_step', ref)));
  await working.commit((tx) =>
    tx.create('xenact_step', ref, {
      ...{ operation, self, task, from: host, to: host },
      step: record.power_state,
    }),
  );
  working.settle((tx) => tx.delete('xenact_step', ref));
};

export interface Waking {
  readonly store: Store;
  readonly invoker: Pick<Invoker, 'call'>;
  readonly services: Pick<Services, 'host' | 'log'>;
}

/**
 * Asked when a host starts and its rows are in line with what is there: guests that were asleep for a moment
 * are woken, as they were. One that cannot be woken stays suspended, for somebody to resume.
 */
export const wakeNappers = async ({ store, invoker, services }: Waking): Promise<void> => {
  const { host, log } = services;
  for (const [ref, step] of [...store.latest.all('xenact_step')]) {
    if (step.operation !== operation || step.from !== host) continue;
    const vm = step.self as Ref<'VM'>;
    try {
      if (store.latest.get('VM', vm)?.power_state === 'Suspended') {
        const start_paused = step.step === 'Paused';
        await invoker.call('VM.resume_on', vm, { host, start_paused, force: false });
      }
    } catch (error) {
      log.warn({ error, vm }, 'A guest that slept for a checkpoint could not be woken; it stays suspended');
    }
    await store.commit((tx) => tx.delete('xenact_step', ref));
  }
};

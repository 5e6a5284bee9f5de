import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx, View } from '../../src/store/view.ts';

// A guest that sleeps for a moment only, which is noted for a host that ends meanwhile: it did not want to.

const operation = 'VM.checkpoint';

/** Whether it is to be woken where it was: its place there is kept for it. */
export const naps = (view: View, self: Ref<'VM'>): boolean =>
  [...view.all('xenact_step')].some(([, step]) => step.operation === operation && step.self === self);

/** One that still sleeps takes no place any more, and anybody may resume it anywhere. */
const endNap = (tx: Tx, self: Ref<'VM'>, step: Ref<'xenact_step'>): void => {
  tx.delete('xenact_step', step);
  if (tx.get('VM', self)?.power_state !== 'Suspended') return;
  tx.patch('VM', self, { resident_on: nullRef as Ref<'host'> });
};

/** From now on, until the work has settled. */
export const noteNap = async (working: Working<'VM'>): Promise<void> => {
  const { self, task, services, record } = working;
  const ref = newRef<'xenact_step'>(services);
  const { host } = services;
  working.undo(() => working.commit((tx) => endNap(tx, self, ref)));
  await working.commit((tx) =>
    tx.create('xenact_step', ref, {
      ...{ operation, self, task, from: host, to: host },
      step: record.power_state,
    }),
  );
  working.settle((tx) => endNap(tx, self, ref));
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
    await store.commit((tx) => endNap(tx, vm, ref));
  }
};

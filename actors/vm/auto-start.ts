import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import type { View } from '../../src/store/view.ts';

// VMs that start with their host: where a client has set the key for the VM, and for the pool too.

export const autoStartKey = 'auto_poweron';

/** Starts of guests that a host begins at the same time. */
export const autoStartsMax = 4;

const wanted = ({ other_config }: { readonly other_config: ReadonlyMap<string, string> }): boolean =>
  other_config.get(autoStartKey) === 'true';

/** In the order in which they are to start. */
const waiting = (view: View): readonly Ref<'VM'>[] =>
  [...view.all('VM')]
    .filter(([, vm]) => !vm.is_a_template && !vm.is_control_domain && !vm.is_a_snapshot)
    .filter(([, vm]) => vm.power_state === 'Halted' && wanted(vm))
    .toSorted(([, one], [, other]) => Number(one.order - other.order))
    .map(([ref]) => ref);

/** A host that has guests was not switched on just now: only the program on it was started again. */
const hasGuests = (view: View, host: Ref<'host'>): boolean =>
  [...view.all('VM')].some(([, vm]) => vm.resident_on === host && !vm.is_control_domain);

export interface AutoStarting {
  readonly invoker: Pick<Invoker, 'call'>;
  readonly services: Pick<Services, 'host' | 'log' | 'store'>;
}

/**
 * Asked once a host that was switched on has its rows in line with what is there. Each VM starts where it
 * can, which need not be here; one that cannot start is logged, and is tried again when another host is
 * switched on.
 */
export const autoStart = async ({ invoker, services }: AutoStarting): Promise<void> => {
  const { host, log, store } = services;
  const view = store.latest;
  if (!wanted(view.only('pool')[1]) || hasGuests(view, host)) return;
  const left = waiting(view).values();
  const startThose = async (): Promise<void> => {
    for (const vm of left) {
      // Meanwhile a client or another host may have started it.
      if (view.get('VM', vm)?.power_state !== 'Halted') continue;
      try {
        await invoker.call('VM.start', vm, { start_paused: false, force: false });
      } catch (error) {
        log.warn({ error, vm }, 'A VM that is to start with its host could not be started');
      }
    }
  };
  await Promise.all(Array.from({ length: autoStartsMax }, startThose));
};

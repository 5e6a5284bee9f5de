import type { Ref } from '../model/types.ts';
import { dateTimeOf } from '../model/types.ts';
import { hostsOf, type PoolContext } from './context.ts';

/** Writes into the rows which hosts live, while this host leads. */
export const watchLiveness = (
  context: PoolContext,
  /** A host is not live any more. Asked again until it succeeds, or the host is back. */
  onDead: ((host: Ref<'host'>) => Promise<unknown>) | undefined,
): { stop(): void } => {
  const { store, clock, log, limits, host: self } = context;
  let cancel = (): void => {};
  const silentSinceMs = new Map<Ref<'host'>, number>();
  const dead = new Set<Ref<'host'>>();

  const write = (host: Ref<'host'>, live: boolean): void => {
    const { metrics } = store.committed.require('host', host);
    if ((store.latest.get('host_metrics', metrics)?.live ?? live) === live) return;
    store
      .commit((tx) => {
        if (tx.get('host_metrics', metrics) === undefined) return;
        tx.patch('host_metrics', metrics, { live, last_updated: dateTimeOf(clock.now()) });
      })
      .catch((error: unknown) =>
        log.warn({ error: String(error), host, live }, 'Whether a host lives was not noted'),
      );
  };

  const bury = (host: Ref<'host'>): void => {
    dead.add(host);
    onDead?.(host).catch((error: unknown) => {
      log.warn({ error: String(error), host }, 'What a dead host left is not tidied up yet');
      dead.delete(host);
    });
  };

  const look = (): void => {
    const nowMs = clock.monotonicMs();
    for (const host of hostsOf(context)) {
      if (host === self || context.isUp(host)) {
        silentSinceMs.delete(host);
        dead.delete(host);
        write(host, true);
        continue;
      }
      const sinceMs = silentSinceMs.get(host) ?? nowMs;
      silentSinceMs.set(host, sinceMs);
      if (nowMs - sinceMs < limits.deadMs) continue;
      // Also for a host that the coordinator before this one found dead: it may not have finished.
      if (!dead.has(host)) bury(host);
      write(host, false);
    }
    cancel = clock.after(lookMs, look);
  };
  look();
  return { stop: () => cancel() };
};

const lookMs = 500;

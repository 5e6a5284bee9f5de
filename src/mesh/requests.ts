import type { Clock } from '../std/clock.ts';
import type { Abortable } from './context.ts';
import type { MeshLimits } from './limits.ts';

export interface Execution {
  /** A value, or a promise of one. */
  readonly outcome: unknown;
  readonly context: Abortable;
}

/**
 * What was asked under a request id, for one host that asks: a repeated request joins the first execution
 * while it runs, and has its outcome for a while after. Of outcomes beyond the limit the oldest are
 * forgotten.
 */
export interface Requests {
  once(id: string, begin: () => Execution): Execution;
}

export const requestsOf = (clock: Clock, limits: MeshLimits): Requests => {
  const running = new Map<string, Execution>();
  const answered = new Map<string, { readonly execution: Execution; readonly atMs: number }>();

  const forget = (): void => {
    const oldestMs = clock.monotonicMs() - limits.rememberedMsMax;
    for (const [id, { atMs }] of answered) {
      if (atMs > oldestMs && answered.size <= limits.requestsRememberedMax) break;
      answered.delete(id);
    }
  };

  return {
    once: (id, begin) => {
      forget();
      const known = running.get(id) ?? answered.get(id)?.execution;
      if (known !== undefined) return known;
      const execution = begin();
      running.set(id, execution);
      const remember = (): void => {
        running.delete(id);
        answered.set(id, { execution, atMs: clock.monotonicMs() });
        forget();
      };
      Promise.resolve(execution.outcome).then(remember, remember);
      return execution;
    },
  };
};

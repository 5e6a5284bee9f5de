import type { CallContext } from './services.ts';

/** A context and the way to abort it. Its signal is made when it is asked for: most calls are over before. */
export interface Abortable extends CallContext {
  controller: AbortController | undefined;
  reason: Error | undefined;
}

/**
 * One prototype for all contexts: an accessor of its own would cost each call more than all the rest of it.
 */
const lazySignal = {
  get signal(): AbortSignal {
    const context = this as unknown as Abortable;
    context.controller ??= new AbortController();
    if (context.reason !== undefined) context.controller.abort(context.reason);
    return context.controller.signal;
  },
};

export const contextOf = (from: string, epoch: number, requestId: string, timeoutMs: number): Abortable =>
  ({
    __proto__: lazySignal,
    from,
    epoch,
    requestId,
    timeoutMs,
    controller: undefined,
    reason: undefined,
  }) as any;

/** Once; a second reason is not heard. */
export const abort = (context: Abortable, reason: Error): void => {
  context.reason ??= reason;
  context.controller?.abort(context.reason);
};

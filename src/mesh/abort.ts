/** An abort signal that is made when somebody asks for it: most calls are answered by code that never does. */
export interface LazyAbort {
  readonly signal: AbortSignal;
  readonly aborted: boolean;
  abort(reason: Error): void;
}

export const lazyAbort = (): LazyAbort => {
  let controller: AbortController | undefined;
  let reason: Error | undefined;
  return {
    get signal() {
      controller ??= new AbortController();
      if (reason !== undefined && !controller.signal.aborted) controller.abort(reason);
      return controller.signal;
    },
    get aborted() {
      return reason !== undefined;
    },
    abort: (why) => {
      reason ??= why;
      controller?.abort(reason);
    },
  };
};

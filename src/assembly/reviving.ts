import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';

/** Starts our daemon while it is away, and again when that one dies before it was of any use. */
export interface Reviving {
  away(): void;
  back(): void;
  close(): Promise<void>;
}

const retryMsMin = 100;
const retryMsMax = 30_000;

/** Without `revive` the daemon is somebody else's, who looks after it. */
export const revivingOf = (
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  revive: (() => Promise<void>) | undefined,
): Reviving => {
  let retryMs = retryMsMin;
  let cancel = (): void => {};
  const stop = (): void => {
    cancel();
    cancel = () => {};
  };
  const again = (): void => {
    stop();
    if (revive === undefined) return;
    cancel = clock.after(retryMs, () => {
      retryMs = Math.min(retryMs * 2, retryMsMax);
      again();
      revive().catch((error: unknown) => log.error({ error }, 'The hypervisor daemon does not start again'));
    });
  };
  return {
    away: again,
    back: () => {
      retryMs = retryMsMin;
      stop();
    },
    close: async () => stop(),
  };
};

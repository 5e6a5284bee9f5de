import type { Disk } from '../../drivers/disk.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';

/**
 * Which coordinator's orders count. An order says by `epoch:N` in its debug info under which coordinator
 * it was given; once a higher number was seen, the orders of those before are refused, also by the next
 * daemon of this state folder. An order without a number is taken: its client knows no epochs.
 */
export interface EpochGuard {
  /** Resolves once the order's epoch is on disk and may be acted upon; rejects when it is over. */
  admit(debugInfo: string): Promise<void>;
  /** Throws when a higher epoch came while the order waited for its turn. */
  check(debugInfo: string): void;
}

const FILE_MAX = 64;
const DIGITS_MAX = 15;

/** Of several the last counts, which is where clients put it: names that people chose may stand before it. */
export const epochOf = (debugInfo: string): number | undefined => {
  // What follows the first line is the context of a trace.
  const [line = ''] = debugInfo.split('\n', 1);
  const digits = line
    .split('|')
    .map((part) => /^epoch:(\d+)$/.exec(part)?.[1])
    .findLast((found) => found !== undefined);
  if (digits === undefined) return undefined;
  if (digits.length <= DIGITS_MAX) return Number(digits);
  throw new XenopsError('Internal_error', [`an epoch has up to ${DIGITS_MAX} digits`]);
};

export const openEpochs = async (disk: Disk, path: string): Promise<EpochGuard> => {
  let highest = (await disk.exists(path)) ? readEpoch(await disk.readText(path, FILE_MAX), path) : 0;
  let stored = highest;
  let storing: Promise<void> = Promise.resolve();

  const check = (debugInfo: string): void => {
    const epoch = epochOf(debugInfo);
    if (epoch === undefined || epoch >= highest) return;
    throw new XenopsError('Internal_error', [
      `another coordinator has taken over: epoch ${highest} is in force, and this order is of epoch ${epoch}`,
    ]);
  };
  const store = async (epoch: number): Promise<void> => {
    if (epoch <= stored) return;
    await disk.replaceText(path, String(epoch));
    stored = epoch;
  };
  return {
    check,
    admit: async (debugInfo) => {
      const epoch = epochOf(debugInfo);
      if (epoch === undefined) return;
      check(debugInfo);
      highest = epoch;
      if (epoch > stored) {
        storing = storing.catch(() => {}).then(() => store(epoch));
        await storing;
        // A higher one may have come meanwhile.
        check(debugInfo);
      }
    },
  };
};

const readEpoch = (text: string, path: string): number => {
  const epoch = Number(text);
  if (text !== '' && Number.isSafeInteger(epoch) && epoch >= 0) return epoch;
  throw new Error(`${path} does not hold an epoch; without it nobody knows whose orders count`);
};

import { isLost, type XenopsWork } from '../drivers/hypervisor/hypervisor.ts';
import type { ClassName } from '../model/class.ts';
import type { Working } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';

/** Progress is for people: more often than this it is only traffic. */
const progressMsMin = 500;

/** Work of the hypervisor on behalf of work of ours: cancelled with it, and its progress is ours. */
export const xenopsWork = (working: Working<ClassName>, method: string): XenopsWork => {
  const { clock } = working.services;
  let shownMs = clock.monotonicMs();
  return {
    debugInfo: `${working.task}|${method}`,
    signal: working.signal,
    progress: (fraction) => {
      const nowMs = clock.monotonicMs();
      if (nowMs - shownMs < progressMsMin) return;
      shownMs = nowMs;
      working.progress(fraction);
    },
  };
};

/** Work that nobody watches and nothing cancels, such as taking back a step. */
export const unattendedWork = (method: string): XenopsWork => ({
  debugInfo: `undo|${method}`,
  signal: new AbortController().signal,
  progress: () => {},
});

/** The answer of the hypervisor daemon, where a daemon that went away is said to have gone. */
export const asked = async <T>(method: string, answer: Promise<T>): Promise<T> => {
  try {
    return await answer;
  } catch (error) {
    if (!isLost(error)) throw error;
    throw new Fault('INTERNAL_ERROR', [
      `The hypervisor daemon of this host went away during ${method}; repeat the call once it is back`,
    ]);
  }
};

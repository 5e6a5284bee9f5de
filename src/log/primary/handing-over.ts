import type { Ref } from '../../model/types.ts';
import { sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import { askAll, othersOf } from './asking.ts';
import { handOverMsMax } from './promoting.ts';
import { lose, type Primary, type Tenure } from './tenure.ts';

const lookMs = 20;

/** Nothing is decided any more, and `to` has all that was; false where that takes too long. */
const handedAll = async (primary: Primary, tenure: Tenure, to: readonly Ref<'host'>[]): Promise<boolean> => {
  const { replica, clock, limits } = primary.context;
  const untilMs = clock.monotonicMs() + limits.pauseMsMax;
  let paused = false;
  replica.pause().then(
    () => {
      paused = true;
    },
    () => {},
  );
  const isDone = (): boolean => {
    const { generation } = replica.position;
    return paused && to.every((one) => (tenure.followers.reachedBy(one) ?? generation) >= generation);
  };
  while (!isDone() && clock.monotonicMs() < untilMs) await sleep(clock, lookMs);
  return isDone() && !tenure.ends.signal.aborted;
};

/** Another host leads from now on, complete; should it not, this one goes on. */
export const handOver = async (primary: Primary, to: Ref<'host'>): Promise<void> => {
  const { context, tenure } = primary;
  const { mesh, replica, host } = context;
  if (to === host && tenure !== undefined) return;
  if (tenure === undefined) throw new Fault('HOST_IS_SLAVE', [leaderOf(primary)]);
  if (!context.isUp(to) || tenure.followers.reachedBy(to) === undefined)
    throw new Fault('HOST_OFFLINE', [to]);
  if (primary.busy) throw new Fault('TOO_BUSY');
  primary.busy = true;
  try {
    const { epoch } = tenure;
    const resume = async (): Promise<void> => {
      if (!tenure.ends.signal.aborted) await replica.lead(epoch, tenure.followers.appending);
    };
    if (!(await handedAll(primary, tenure, [to]))) {
      await resume();
      throw new Fault('CANNOT_CONTACT_HOST', [to]);
    }
    try {
      const { generation } = replica.position;
      await mesh.call(to, 'takeOver', { epoch, generation }, { timeoutMs: handOverMsMax });
    } catch (error) {
      // A host that says why it does not lead will not; of any other nobody knows.
      if (error instanceof Fault) await resume();
      else if (primary.tenure === tenure) lose(primary);
      throw error instanceof Fault ? error : new Fault('CANNOT_CONTACT_HOST', [to]);
    }
  } finally {
    primary.busy = false;
  }
};

const leaderOf = ({ now }: Primary): string => (now.kind === 'other' ? now.host : '');

/** A leader that stops in order says where, so that whoever has that much may lead without it. */
export const sayGoodbye = async (primary: Primary, tenure: Tenure): Promise<void> => {
  const { context } = primary;
  const up = othersOf(context).filter((one) => context.isUp(one));
  if (up.length === 0 || !(await handedAll(primary, tenure, up))) return;
  const { generation } = context.replica.position;
  await askAll(context, up, 'stops', { epoch: tenure.epoch, generation }, () => undefined);
};

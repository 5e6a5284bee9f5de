import type { Attendance, VmState } from '../../drivers/hypervisor/hypervisor.ts';
import type { Clock } from '../../std/clock.ts';

/** VMs that somebody attends: nobody else is told of them until he lets go of them. */
export interface Attending {
  /** Something is told of the VM. True: somebody attends it. */
  keeps(vm: string): boolean;
  attend(vm: string): Attendance;
}

/** What takes longer is told meanwhile, so that people see it and can cut it. */
const quietMsMax = 250;

interface Around {
  readonly clock: Pick<Clock, 'after'>;
  readonly stat: (vm: string) => Promise<VmState | undefined>;
  /** Has the VM reported, with whatever it is by then. */
  readonly again: (vm: string) => void;
  /** Resolves once what is being told of the VM has been handled. */
  readonly handled: (vm: string) => Promise<void>;
}

export const attending = ({ clock, stat, again, handled }: Around): Attending => {
  const attended = new Map<string, { told: boolean }>();
  return {
    keeps: (vm) => {
      const one = attended.get(vm);
      if (one !== undefined) one.told = true;
      return one !== undefined;
    },
    attend: (vm) => {
      const one = { told: false };
      attended.set(vm, one);
      let isLoud = false;
      const leave = (): void => {
        cancel();
        if (attended.get(vm) !== one) return;
        attended.delete(vm);
        if (one.told) again(vm);
      };
      const cancel = clock.after(quietMsMax, () => {
        isLoud = true;
        leave();
      });
      return {
        state: async () => {
          cancel();
          attended.set(vm, one);
          if (isLoud) await handled(vm);
          // The answer is at least as new as all that was told before.
          one.told = false;
          return stat(vm);
        },
        leave,
      };
    },
  };
};

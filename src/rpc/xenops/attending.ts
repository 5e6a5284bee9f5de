import type { Attendance, VmState } from '../../drivers/hypervisor/hypervisor.ts';

/** VMs that somebody attends: nobody else is told of them until he lets go of them. */
export interface Attending {
  /** Something is told of the VM. True: somebody attends it. */
  keeps(vm: string): boolean;
  attend(vm: string): Attendance;
}

/** `again`: has the VM reported, with whatever it is by then. */
export const attending = (
  stat: (vm: string) => Promise<VmState | undefined>,
  again: (vm: string) => void,
): Attending => {
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
      return {
        state: () => {
          // The answer is at least as new as all that was told before.
          one.told = false;
          return stat(vm);
        },
        leave: () => {
          if (attended.get(vm) !== one) return;
          attended.delete(vm);
          if (one.told) again(vm);
        },
      };
    },
  };
};

import type { Attendance, DeviceId, Hypervisor } from '../drivers/hypervisor/hypervisor.ts';
import { attending } from '../rpc/xenops/attending.ts';
import { lost } from '../rpc/xenops/call.ts';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';

type Reports = Parameters<Hypervisor['watch']>[0];
export type Update = readonly ['Vm', string] | readonly ['Vbd' | 'Vif', DeviceId];

/** Tells what changed, one after another, as an event thread of a hypervisor driver does. */
export interface GuestReports {
  watch(reports: Reports): void;
  announce(update: Update): void;
  /** Resolves once everything announced before has been handled; rejects when a report of this VM failed. */
  barrier(vm: string): Promise<void>;
  attend(vm: string): Attendance;
  /** The daemon has gone for good: whoever waits is told, and nothing is reported any more. */
  lose(): void;
  close(): Promise<void>;
}

interface Barrier {
  readonly vm: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const retryMs = 1_000;
export const barriersMax = 10_000;

export const guestReports = (options: {
  readonly stat: Hypervisor['stat'];
  readonly clock: Clock;
  readonly log: Log;
}): GuestReports => {
  const { stat, clock, log } = options;
  /** By what they are about: what is announced twice is told once. */
  let updates = new Map<string, Update | Barrier>();
  const failed = new Map<string, unknown>();
  let watching: Reports | undefined;
  let away = false;
  let barriers = 0;
  let running: Promise<void> | undefined;

  const tell = (reports: Reports, [kind, id]: Update): Promise<void> => {
    if (kind === 'Vm') return stat(id).then((state) => reports.onVm(id, state));
    return kind === 'Vbd' ? reports.onVbd(id) : reports.onVif(id);
  };
  const report = async (reports: Reports, update: Update): Promise<void> => {
    const vm = vmOf(update);
    if (attended.keeps(vm)) return;
    try {
      await tell(reports, update);
      failed.delete(vm);
    } catch (error) {
      log.error({ vm, error }, 'A report failed and will be repeated');
      failed.set(vm, error);
      clock.after(retryMs, () => announce(update));
    }
  };
  const pump = async (reports: Reports): Promise<void> => {
    // What was announced in the same turn of the event loop is told together.
    await Promise.resolve();
    while (!away) {
      const [next] = updates;
      if (next === undefined) return;
      const [key, update] = next;
      updates.delete(key);
      if (!('resolve' in update)) await report(reports, update);
      else if (failed.has(update.vm)) update.reject(failed.get(update.vm));
      else update.resolve();
    }
  };
  const wake = (): void => {
    if (watching === undefined || running !== undefined || away) return;
    running = pump(watching).finally(() => {
      running = undefined;
      if (updates.size > 0) wake();
    });
  };
  const announce = (update: Update): void => {
    if (away) return;
    updates.set(keyOf(update), update);
    wake();
  };
  const barrier = (vm: string): Promise<void> =>
    new Promise((resolve, reject) => {
      if (away) return reject(lost('the host is away'));
      if (updates.size >= barriersMax)
        return reject(new Error(`${barriersMax} reports are waited for already`));
      barriers += 1;
      updates.set(`barrier ${barriers}`, { vm, resolve, reject });
      wake();
    });
  const attended = attending({ clock, stat, again: (vm) => announce(['Vm', vm]), handled: barrier });
  const lose = (): void => {
    away = true;
    const left = updates;
    updates = new Map();
    failed.clear();
    for (const one of left.values()) if ('reject' in one) one.reject(lost('the host is away'));
  };

  return {
    watch: (reports) => {
      if (watching !== undefined) throw new Error('The hypervisor is watched already');
      watching = reports;
      wake();
    },
    announce,
    barrier,
    attend: attended.attend,
    lose,
    close: async () => {
      lose();
      await running;
    },
  };
};

const vmOf = ([kind, id]: Update): string => (kind === 'Vm' ? id : id[0]);

const keyOf = ([kind, id]: Update): string => (kind === 'Vm' ? `Vm ${id}` : `${kind} ${id.join('.')}`);

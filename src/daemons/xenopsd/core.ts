import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import type { Network } from '../../drivers/network.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import type { Struct, Value } from '../../std/value.ts';
import type { Backend } from './backend.ts';
import type { EpochGuard } from './epochs.ts';
import type { Handovers } from './migration/handovers.ts';
import type { Queues } from './queues.ts';
import type { DiskStorage } from './storage.ts';
import type { Work } from './tasks.ts';
import type { Updates } from './updates.ts';
import { powerStateOf, type VmEntries, type VmEntry } from './vm-entries.ts';

/** What every operation of the daemon works with. */
export interface Core {
  readonly backend: Backend;
  readonly storage: DiskStorage;
  readonly entries: VmEntries;
  readonly queues: Queues;
  readonly updates: Updates;
  readonly clock: Clock;
  readonly log: Log;
  readonly restarts: RestartDelay;
  readonly network: Network;
  readonly epochs: EpochGuard;
  readonly handovers: Handovers;
}

/** Answers one call. `signal` is aborted when its caller went away. */
export type DaemonMethod = (args: Struct, debugInfo: string, signal: AbortSignal) => Value | Promise<Value>;

/** A guest that restarts by itself soon after its start, again and again, is made to wait in between. */
export interface RestartDelay {
  /** A guest that ran this long is not in a hurry. */
  readonly ranMsMin: number;
  readonly delayMs: number;
}

/** What a client is told when the VM is not in the state that an operation needs. */
export const badPowerState = (entry: VmEntry, expected: string): XenopsError =>
  new XenopsError('Bad_power_state', [powerStateOf(entry), expected]);

export const announceVm = (core: Core, entry: VmEntry): void => core.updates.add(['Vm', entry.id]);

/** The VM and all its devices. */
export const announceAll = (core: Core, entry: VmEntry): void => {
  for (const device of entry.vbds.keys()) core.updates.add(['Vbd', [entry.id, device]]);
  for (const device of entry.vifs.keys()) core.updates.add(['Vif', [entry.id, device]]);
  announceVm(core, entry);
};

/** Notes what has become of a VM. Watchers are told also where the note could not be written, as it is so. */
export const noted = async (core: Core, entry: VmEntry, tell: () => void): Promise<void> => {
  try {
    await core.entries.save(entry);
  } finally {
    tell();
  }
};

/** The VM is no more: watchers hear of it, and find nothing when they look. */
export const announceGone = (core: Core, entry: VmEntry): void => {
  for (const device of entry.vbds.keys()) core.updates.drop(['Vbd', [entry.id, device]]);
  for (const device of entry.vifs.keys()) core.updates.drop(['Vif', [entry.id, device]]);
  core.updates.gone(['Vm', entry.id]);
};

/** The work of something that no client asked for: it has no task and is never cancelled. */
export const ownWork = (debugInfo: string): Work => ({
  id: debugInfo,
  debugInfo,
  signal: new AbortController().signal,
  check: () => {},
  progress: () => {},
  setCancellable: () => {},
});

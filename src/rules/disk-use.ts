import type { OpenVolume } from '../drivers/storage/storage.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { type Hold, mark, unmark } from '../objects/busy.ts';
import { faultOf } from '../objects/driver-faults.ts';
import type { Job, Objects } from '../objects/runtime.ts';
import type { Services } from '../objects/services.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';
import { asking } from './storage-faults.ts';
import { drivesInUse, pbdOf } from './storage-rows.ts';

/**
 * The bytes of a disk for a route of the edge: admitted by the VDI's own actor as a message would be,
 * opened for this host alone, and closed whatever happens.
 */
export interface DiskUse {
  readonly objects: Objects;
  readonly store: Store;
  readonly services: Services;
  /** Told of the progress, and cancels the use. Its final state is the caller's to write. */
  readonly task?: Ref<'task'>;
  /** Aborted, with the fault, when whoever uses the disk may not go on. */
  readonly withdrawn?: AbortSignal;
}

export interface DiskWork {
  /** From 0 to 1. */
  readonly progress: (fraction: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Reading stands in `current_operations` as `copy`, beside which disks can be read by others; writing
 * as `blocked`, which lets nothing else happen to the disk. A busy disk is waited for. Throws
 * HANDLE_INVALID, VDI_IN_USE, VDI_READONLY, VDI_MISSING, SR_HAS_NO_PBDS, TASK_CANCELLED and what the
 * storage answers.
 */
export const useDisk = async <T>(
  by: DiskUse,
  vdi: Ref<'VDI'>,
  how: 'read' | 'write',
  datapath: string,
  use: (open: OpenVolume, work: DiskWork) => Promise<T>,
): Promise<T> => {
  const { job, signal: cut } = await admitted(by, vdi, how);
  const signal = by.withdrawn === undefined ? cut : AbortSignal.any([cut, by.withdrawn]);
  try {
    return await opened(by, vdi, how, datapath, signal, (open) =>
      use(open, { progress: progressOf(by), signal }),
    );
  } catch (error) {
    const { store } = by;
    const vmOf = (uuid: string): string => store.latest.byUuid('VM', uuid) ?? uuid;
    by.withdrawn?.throwIfAborted();
    throw cut.aborted ? cancelled(by) : faultOf(error, { ref: vdi, task: by.task ?? nullRef, vmOf });
  } finally {
    await marked(by, job, unmark).catch(() => undefined);
    by.objects.ended(job);
  }
};

const operations = { read: 'copy', write: 'blocked' } as const;

const cancelled = ({ task }: DiskUse): Fault => new Fault('TASK_CANCELLED', [task ?? nullRef]);

/** A disk whose bytes are read by work on another row. */
export const reading = (vdi: Ref<'VDI'>): Hold => ({ cls: 'VDI', ref: vdi, operation: operations.read });

/** A disk whose bytes are written by work on another row: nobody else has it meanwhile. */
export const writing = (vdi: Ref<'VDI'>): Hold => ({
  ...{ cls: 'VDI', ref: vdi, operation: operations.write },
  unless: (view) => {
    const record = view.require('VDI', vdi);
    for (const [task, running] of record.current_operations)
      return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VDI', vdi, running, task]);
    return drivesInUse(view, record).length > 0 ? new Fault('VDI_IN_USE', [vdi, 'copy']) : undefined;
  },
});

const refusal = (by: DiskUse, view: View, vdi: Ref<'VDI'>, how: 'read' | 'write'): Fault | undefined => {
  const record = view.require('VDI', vdi);
  const inUse = drivesInUse(view, record).some(({ mode }) => how === 'write' || mode === 'RW');
  if (inUse) return new Fault('VDI_IN_USE', [vdi, operations[how]]);
  if (how === 'write' && record.read_only) return new Fault('VDI_READONLY', [vdi]);
  if (record.missing) return new Fault('VDI_MISSING', [record.SR, vdi]);
  const reached = pbdOf(view, record.SR, by.services.host) !== undefined;
  return reached ? undefined : new Fault('SR_HAS_NO_PBDS', [record.SR]);
};

const admitted = (
  by: DiskUse,
  vdi: Ref<'VDI'>,
  how: 'read' | 'write',
): Promise<{ readonly job: Job; readonly signal: AbortSignal }> =>
  new Promise((resolve, reject) => {
    const job: Job = {
      asked: { id: by.objects.newJobId(), ref: vdi, operation: operations[how], cuts: [] },
      cls: 'VDI',
      task: by.task ?? (nullRef as Ref<'task'>),
      unless: (view) => refusal(by, view, vdi, how),
      begin: ({ signal }) => {
        // Not awaited: the mark is in the latest rows at once, and nothing is answered before the end.
        marked(by, job, mark).catch(() => undefined);
        resolve({ job, signal });
      },
      refuse: reject,
    };
    by.objects.ask(job);
  });

const marked = async (by: DiskUse, job: Job, write: typeof mark): Promise<void> => {
  const { asked, task } = job;
  const hold = { cls: job.cls, ref: asked.ref as Ref, operation: asked.operation as string };
  await by.store.commit((tx: Tx) => write(tx, hold, { task, host: by.services.host, id: asked.id }));
};

const opened = async <T>(
  { store, objects, services }: DiskUse,
  vdi: Ref<'VDI'>,
  how: 'read' | 'write',
  datapath: string,
  signal: AbortSignal,
  use: (open: OpenVolume) => Promise<T>,
): Promise<T> => {
  const { location, SR } = store.latest.require('VDI', vdi);
  const sr = store.latest.require('SR', SR).uuid;
  const debugInfo = `VDI ${how}`;
  try {
    signal.throwIfAborted();
    const open = await asking({ sr: SR, vdi, operation: operations[how] }, () =>
      services.storage.openVolume(sr, location, datapath, how === 'write', { debugInfo, signal }),
    );
    const result = await use(open);
    if (how === 'write') await open.flush();
    signal.throwIfAborted();
    return result;
  } finally {
    // Closing must happen also when the caller has gone, so it does not hear the signal.
    await services.storage.closeVolume(sr, location, datapath, { debugInfo });
    if (how === 'write') await refresh({ store, objects, services }, vdi, sr, location);
  }
};

/** What was written takes space also when the writing failed. */
const refresh = async (by: DiskUse, vdi: Ref<'VDI'>, sr: string, location: string): Promise<void> => {
  const { store, objects, services } = by;
  try {
    const stat = await services.storage.statVolume(sr, location, { debugInfo: 'VDI write' });
    const patch = (tx: Tx): void =>
      tx.patch('VDI', vdi, { physical_utilisation: stat.physicalUtilisationBytes });
    await objects.turn('VDI', vdi, () => store.commit(patch));
  } catch (error) {
    services.log.warn({ error, vdi }, 'The space that a written disk takes could not be read');
  }
};

const progressOf = ({ store, task }: DiskUse): ((fraction: number) => void) => {
  let shown = 0;
  return (fraction) => {
    if (task === undefined || fraction - shown < 0.01 || fraction > 1) return;
    shown = fraction;
    const patch = (tx: Tx): void => {
      if (tx.get('task', task)?.status === 'pending') tx.patch('task', task, { progress: fraction });
    };
    store.commit(patch).catch(() => undefined);
  };
};

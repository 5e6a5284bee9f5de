import type { Ref } from '../model/types.ts';
import type { Hold } from '../objects/busy.ts';
import { Fault } from '../std/fault.ts';
import { drivesInUse } from './storage-rows.ts';

/** A disk whose bytes are read by work on another row. */
export const reading = (vdi: Ref<'VDI'>): Hold => ({ cls: 'VDI', ref: vdi, operation: 'copy' });

/** A disk whose bytes are written by work on another row: nobody else has it meanwhile. */
export const writing = (vdi: Ref<'VDI'>): Hold => ({
  ...{ cls: 'VDI', ref: vdi, operation: 'blocked' },
  unless: (view) => {
    const record = view.require('VDI', vdi);
    for (const [task, running] of record.current_operations)
      return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VDI', vdi, running, task]);
    return drivesInUse(view, record).length > 0 ? new Fault('VDI_IN_USE', [vdi, 'copy']) : undefined;
  },
});

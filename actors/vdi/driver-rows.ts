import type { ArgsOf, ClassName, RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Caller, Deciding } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { requireOwnRepository } from '../../src/rules/driver-rights.ts';
import { diskAt } from '../../src/rules/storage-rows.ts';
import { isAllowed } from '../../src/std/allowed.ts';
import { Fault } from '../../src/std/fault.ts';
import type { VDI } from './class.ts';

// The rows of disks that their driver writes itself.

type Introduced = ArgsOf<typeof VDI.messages.db_introduce>;

/** Drivers say that there is none by an empty text. */
const orNull = <C extends ClassName>(ref: Ref<C>): Ref<C> => ((ref as string) === '' ? nullRef : ref);

/** The row of a disk that the driver of its repository has found or made. */
export const dbIntroduce = ({ tx, caller, services }: Deciding, args: Introduced): Ref<'VDI'> => {
  const { SR: sr, uuid: said, location } = args;
  tx.require('SR', sr);
  requireOwnRepository(caller, sr);
  const uuid = said === '' ? services.random.uuid() : said;
  if (!isAllowed('uuid', uuid)) throw new Fault('INVALID_VALUE', ['uuid', uuid]);
  if (tx.byUuid('VDI', uuid) !== undefined) {
    throw new Fault('DB_UNIQUENESS_CONSTRAINT_VIOLATION', ['VDI', 'uuid', uuid]);
  }
  if (diskAt(tx, sr, location) !== undefined) throw new Fault('LOCATION_NOT_UNIQUE', [sr, location]);
  const ref = newRef<'VDI'>(services);
  tx.create('VDI', ref, {
    ...args,
    uuid,
    snapshot_of: orNull(args.snapshot_of),
    metadata_of_pool: orNull(args.metadata_of_pool),
  });
  return ref;
};

/** The row alone: the driver has seen that the disk is gone. */
export const dbForget = ({ tx, self, caller }: Deciding): void => {
  const vdi = self as Ref<'VDI'>;
  requireOwnRepository(caller, tx.require('VDI', vdi).SR);
  tx.delete('VDI', vdi);
};

/** Whether the driver of the disk's repository is who calls; that of another has no right to. */
export const isOwnDriver = (caller: Caller, { SR }: Pick<RecordNamed<'VDI'>, 'SR'>): boolean => {
  if (caller.driverOf === undefined) return false;
  requireOwnRepository(caller, SR);
  return true;
};

import type { Ref } from '../model/types.ts';
import type { Caller } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';

/** A driver writes the rows of the repository that it was called for, and nobody else writes them at all. */
export const requireOwnRepository = ({ driverOf }: Caller, sr: Ref<'SR'>): void => {
  if (driverOf === sr) return;
  throw new Fault('PERMISSION_DENIED', [
    driverOf === undefined
      ? 'Only the storage driver of the repository may write this; use introduce or forget'
      : 'A storage driver may write the rows of the repository that it was called for, and no others',
  ]);
};

import type { Allowance, AnyClass, ClassName, RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import { weightOf } from '../std/weight.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Tx, View } from '../store/view.ts';
import type { Caller } from './implement.ts';

// What one user has in the pool, so that nobody can crowd out the others. Rows that users make without being
// trusted to manage the pool have a `holder`, by which they are counted and weighed.

/** Rows up to this are counted and not weighed. */
export const lightBytes = 4_096;

/** The user behind a call, the same in all sessions of his. */
export const holderOf = (view: View, { session, user }: Caller): string =>
  view.get('session', session)?.auth_user_sid || user;

/** What a row adds to what its holder has: nothing, where it is light. */
export const loadOf = (record: AnyRecord): number => {
  const weight = Object.values(record).reduce((sum: number, value) => sum + weightOf(value), 0);
  return weight > lightBytes ? weight : 0;
};

/** Classes whose rows say who holds them. */
export type Held = {
  [C in ClassName]: 'holder' extends keyof RecordNamed<C> ? C : never;
}[ClassName];

/** How far beyond the allowance a user is. */
export interface Excess {
  readonly rows: number;
  readonly bytes: number;
}

/** Rows of one user, this transaction's own included. */
export const rowsHeld = <C extends Held>(
  tx: Tx,
  cls: C,
  holder: string,
): readonly (readonly [Ref<C>, RecordNamed<C>])[] => tx.referring(cls, 'holder' as never, holder as Ref);

export const excessOf = (records: readonly AnyRecord[], { rowsMax, bytesMax }: Allowance): Excess => ({
  rows: Math.max(0, records.length - rowsMax),
  bytes: Math.max(0, records.reduce((sum, record) => sum + loadOf(record), 0) - bytesMax),
});

/**
 * After a change of a row by a client. Throws OPERATION_NOT_ALLOWED when the user who holds the row has more
 * than its class allows; rows of Xenact's own have no holder.
 */
export const assertAllowed = (tx: Tx, { name, allowance }: AnyClass, ref: Ref): void => {
  if (allowance === undefined) return;
  const cls = name as Held;
  const holder = tx.get(cls, ref as Ref<typeof cls>)?.holder ?? '';
  if (holder === '') return;
  const { rows, bytes } = excessOf(
    rowsHeld(tx, cls, holder).map(([, record]) => record),
    allowance,
  );
  if (rows === 0 && bytes === 0) return;
  const most = rows > 0 ? `${allowance.rowsMax} of them` : `${allowance.bytesMax} bytes in them`;
  throw new Fault('OPERATION_NOT_ALLOWED', [
    `A user can have at most ${most} (class ${name}): destroy some that are not needed, then try again`,
  ]);
};

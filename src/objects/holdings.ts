import type { ClassName, RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { weightOf } from '../std/weight.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Tx, View } from '../store/view.ts';
import type { Caller } from './implement.ts';

// What one user has in the pool, so that nobody can crowd out the others. Rows that users make without being
// trusted to manage the pool have a `holder`, by which they are counted and weighed.

/** What one user may hold of a class. */
export interface Allowance {
  readonly rowsMax: number;
  /** Of what the rows hold, each row above `lightBytes` weighed. */
  readonly bytesMax: number;
}

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

import type { ClassName, RecordNamed } from '../../model/class.ts';

// What becomes of each field when an object is made or put back: tables that code, documentation and tests
// read alike. A field that a class gains does not compile until its cells are filled in.

/**
 * `copied`: as the original has it, or as the client gave it to a constructor. `default`: as in a new row.
 * `made`: by the operation, as its reason says. `kept`: nothing happens to it. `derived`: follows from other
 * rows, and nobody writes it.
 */
export type Fate = 'copied' | 'default' | 'made' | 'kept' | 'derived';

export type Cells<O extends string> = { readonly [K in O]: Fate } & { readonly why: string };

export type Fates<C extends ClassName, O extends string> = {
  readonly [F in keyof RecordNamed<C>]-?: Cells<O>;
};

/** The same cells, but for some operations. */
export const but = <const R extends { readonly why: string }, const M extends Readonly<Record<string, Fate>>>(
  cells: R,
  more: M,
): Omit<R, keyof M> & M => ({ ...cells, ...more });

/** The fields that the operation must make itself: leaving one out does not compile. */
export type Made<C extends ClassName, T, O extends string> = {
  readonly [F in keyof T & keyof RecordNamed<C> as T[F] extends { readonly [K in O]: infer X }
    ? 'made' extends X
      ? F
      : never
    : never]: RecordNamed<C>[F];
};

/** What to write of a row: fields that are not among these take their defaults, or stay as they are. */
export const fieldsFor = <
  C extends ClassName,
  const O extends string,
  T extends { readonly [F in keyof RecordNamed<C>]-?: Cells<O> },
>(
  _cls: C,
  table: T,
  operation: O,
  original: Partial<RecordNamed<C>>,
  made: Made<C, T, O>,
): Partial<RecordNamed<C>> => {
  const fields: Record<string, unknown> = {};
  for (const [field, cells] of Object.entries<Cells<O>>(table)) {
    const fate: Fate = cells[operation];
    const from = fate === 'copied' ? original : fate === 'made' ? made : {};
    const value = (from as Readonly<Record<string, unknown>>)[field];
    if (value !== undefined) fields[field] = value;
  }
  return fields as Partial<RecordNamed<C>>;
};

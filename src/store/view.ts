import type { ClassName, RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';

/**
 * Reading rows by class name. A view of the committed rows is what clients see; a decision sees the latest.
 */
export interface View {
  get<C extends ClassName>(cls: C, ref: Ref<C>): RecordNamed<C> | undefined;
  /** Throws HANDLE_INVALID when there is no such row. */
  require<C extends ClassName>(cls: C, ref: Ref<C>): RecordNamed<C>;
  all<C extends ClassName>(cls: C): Iterable<readonly [Ref<C>, RecordNamed<C>]>;
  /** The only row of a class that has just one, such as pool. Throws when there is none. */
  only<C extends ClassName>(cls: C): readonly [Ref<C>, RecordNamed<C>];
  /** Rows whose field, which must be `indexed`, has a reference that is not the null one; in no order. */
  referring<C extends ClassName>(
    cls: C,
    field: keyof RecordNamed<C> & string,
    to: Ref,
  ): readonly (readonly [Ref<C>, RecordNamed<C>])[];
  byUuid<C extends ClassName>(cls: C, uuid: string): Ref<C> | undefined;
}

/** A commit in the making. Nothing of it is seen by others until the function that makes it has returned. */
export interface Tx extends View {
  /** Fields that are not given take their defaults. `durable: false`: the row is gone after a restart. */
  create<C extends ClassName>(
    cls: C,
    ref: Ref<C>,
    fields: Partial<RecordNamed<C>>,
    options?: { readonly durable: boolean },
  ): void;
  /** Throws HANDLE_INVALID when there is no such row. */
  patch<C extends ClassName>(cls: C, ref: Ref<C>, changes: Partial<RecordNamed<C>>): void;
  /** Deleting what is not there is no error. */
  delete<C extends ClassName>(cls: C, ref: Ref<C>): void;
  /** An event for the row although nothing of it changed. */
  touch<C extends ClassName>(cls: C, ref: Ref<C>): void;
}

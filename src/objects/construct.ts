import type { Call, ClassName, RecordNamed } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { Struct, Value } from '../std/value.ts';

/**
 * A constructor takes a struct, as it comes over the wire; here it is written as the fields that it is read
 * into.
 */
export const construct = async <C extends ClassName>(
  { call }: { readonly call: Call },
  cls: C,
  fields: Partial<RecordNamed<C>>,
): Promise<Ref<C>> => {
  const args: Struct = new Map(Object.entries(fields) as [string, Value][]);
  // `create` is implied by the declaration, and so is not among the names that `Call` lists.
  const create = call as unknown as (method: string, self: Ref, args: { args: Struct }) => Promise<Ref<C>>;
  return create(`${cls}.create`, nullRef, { args });
};

/** Likewise for what a constructor made. */
export const destruct = async <C extends ClassName>(
  { call }: { readonly call: Call },
  cls: C,
  ref: Ref<C>,
): Promise<void> => {
  const destroy = call as unknown as (method: string, self: Ref, args: object) => Promise<void>;
  await destroy(`${cls}.destroy`, ref, {});
};

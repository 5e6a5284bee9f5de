import type { ClassName } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Random } from '../std/clock.ts';

/** A reference and a uuid for a row to be made. */
export type NewRow<Only extends ClassName = ClassName> = <C extends Only>(
  cls: C,
) => { readonly ref: Ref<C>; readonly uuid: string };

export const newRows =
  (random: Random): NewRow =>
  <C extends ClassName>(_: C) => ({ ref: `OpaqueRef:${random.uuid()}` as Ref<C>, uuid: random.uuid() });

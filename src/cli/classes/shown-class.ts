/**
 * A class as the command line names it. `fields` are words: the field's name, then after `:` where its value
 * is (a path over references, such as `metrics.memory_actual`) unless the name says it, then after `!` its
 * marks.
 *
 * - `hidden`: found by filters and by name, shown by no list.
 * - `slow`: a list shows `<expensive field>` in its place.
 * - `text`: a set or a map that is shown and compared as one text.
 * - `fixed`: the API can set it, `xe` does not.
 * - `call`: computed by `computed.ts`; `set`, `map` and `settable` say what cannot be read off a declaration
 *   then.
 * - `comma`: members are between commas, and not semicolons.
 * - `anycase`: filters ignore case.
 * - `property`: keys are set one by one. `whole`: a set or a map can be set at once, with or instead of by
 *   its
 *   members; `settable` where the members are changed so as well.
 */
export interface ShownClass {
  readonly name: string;
  /** By the XenAPI. */
  readonly cls: string;
  /** Which rows there are, by their fields. */
  readonly filters?: Readonly<Record<string, string>>;
  /** Only rows in which this set of the API has a member. */
  readonly having?: string;
  /** Fields of a list where nobody says which; absent: all. */
  readonly list?: string;
  readonly fields?: string;
  /** Has the fields of that class. */
  readonly fieldsOf?: string;
}

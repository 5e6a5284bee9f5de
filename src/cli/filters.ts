import { paceOf } from '../std/pace.ts';
import type { CommandRun } from './command.ts';
import { CommandFailure } from './failures.ts';
import type { Listed, ShownField } from './fields.ts';
import type { ApiRow } from './lookup.ts';
import type { Show, Shown } from './rows.ts';

/** A field and what it is to be, or to have. */
export type Filter = readonly [name: string, value: string];

/** What commands take beside fields. */
const others = new Set([
  ...['params', 'server', 'password', 'port', 'username', 'minimal', 'force', 'multiple', 'all'],
  ...['message-priority', 'trace'],
]);

/** The words that name fields; `besides` are the command's own. */
export const filtersOf = (
  { params }: Pick<CommandRun, 'params'>,
  besides: readonly string[] = [],
): readonly Filter[] =>
  params.pairs.filter(([name]) => {
    const plain = name.split(':')[0] as string;
    return (
      !others.has(name) && plain !== 'database' && !besides.includes(name) && !besides.includes(`${plain}:`)
    );
  });

type Passes = (shown: Shown) => boolean;

const isSame = (field: ShownField, text: string, value: string): boolean =>
  field.marks.has('anycase') ? text.toLowerCase() === value.toLowerCase() : text === value;

/** The part after the name of a field: `key` of `other-config:key`, and of the older `other-config-key`. */
const keyed = (name: string, fields: readonly ShownField[]): readonly [ShownField, string] | undefined => {
  const at = name.indexOf(':');
  const before = fields.filter((field) =>
    at < 0 ? name.startsWith(`${field.name}-`) : field.name === name.slice(0, at),
  );
  const longest = before.toSorted((a, b) => b.name.length - a.name.length)[0];
  return longest === undefined ? undefined : [longest, name.slice(longest.name.length + 1)];
};

/** What a filter asks of which field. Throws where there is no such field. */
const meaning = ({ fields }: Listed, [name, value]: Filter): readonly [ShownField, Passes] => {
  const whole = fields.find((field) => field.name === name);
  if (whole !== undefined) return [whole, ({ text }) => isSame(whole, text, value)];
  const parts = fields.filter(({ kind }) => kind !== 'plain');
  const [field, key] = keyed(name, parts) ?? [];
  if (field === undefined || key === undefined) throw new CommandFailure(`Unknown field '${name}'`);
  if (field.kind === 'map') return [field, ({ pairs }) => pairs?.get(key) === value];
  if (key !== 'contains') {
    throw new CommandFailure('Invalid syntax for set filtering (should be set-param:contains=key)');
  }
  return [field, ({ items }) => items?.includes(value) === true];
};

/** The rows that meet every filter. One that names no field is an error once there is a row to ask. */
export const filtered = async (
  rows: readonly ApiRow[],
  filters: readonly Filter[],
  of: Listed,
  { show, clock }: { readonly show: Show } & Pick<CommandRun, 'clock'>,
): Promise<readonly ApiRow[]> => {
  const pace = paceOf(clock);
  let left = rows;
  for (const filter of filters) {
    if (left.length === 0) return left;
    const [field, passes] = meaning(of, filter);
    const kept: ApiRow[] = [];
    for (const row of left) {
      if (passes(await show(row, field))) kept.push(row);
      if (pace.isOver()) await pace.rest();
    }
    left = kept;
  }
  return left;
};

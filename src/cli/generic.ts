import { paceOf } from '../std/pace.ts';
import { addTo, clearField, removeFrom, setField } from './changes.ts';
import type { Command, CommandRun } from './command.ts';
import { CommandFailure, ParameterFailure } from './failures.ts';
import { type Listed, labelOf, type ShownField } from './fields.ts';
import { filtered, filtersOf } from './filters.ts';
import { type ApiRow, rowByUuid, rowsOfClass } from './lookup.ts';
import type { TableRecord } from './printer.ts';
import { type Show, showOf } from './rows.ts';

/** The commands that every class has: they list it, and show and change the fields of one of its objects. */
export const genericCommands = (of: Listed): readonly Command[] => {
  const { fields } = of;
  const visible = fields.filter(({ marks }) => !marks.has('hidden'));
  const canAdd = visible.some(({ kind, writable }) => kind !== 'plain' && writable);
  const canClear = visible.some(({ kind, writable }) => kind !== 'plain' || writable);
  return [
    listCommand(of, visible),
    paramList(of, visible),
    paramGet(of),
    ...(visible.some(isSettable) ? [paramSet(of, visible)] : []),
    ...(canAdd ? [paramAdd(of), paramRemove(of)] : []),
    ...(canClear ? [paramClear(of)] : []),
  ];
};

/** By param-set: a plain field, keys of a map, or a set as a whole. */
const isSettable = ({ kind, writable, marks }: ShownField): boolean =>
  marks.has('whole') || (writable && kind !== 'set') || (kind === 'map' && marks.has('property'));

const refuseDatabase = ({ params }: CommandRun): void => {
  if (params.pairs.some(([name]) => name.startsWith('database')))
    throw new CommandFailure('This server shows no other database than its own');
};

const slow = '<expensive field>';

/** The fields of a class that can be shown, and are asked for by name. */
export const shownFields = (of: Listed, wanted: string | undefined): readonly ShownField[] =>
  chosen(
    of,
    of.fields.filter(({ marks }) => !marks.has('hidden')),
    wanted,
  );

/** What is shown of rows: slow fields only where one object is asked for. */
export const recordsOf = async (
  rows: readonly ApiRow[],
  fields: readonly ShownField[],
  { show, clock, all }: { readonly show: Show; readonly all: boolean } & Pick<CommandRun, 'clock'>,
): Promise<readonly TableRecord[]> => {
  const pace = paceOf(clock);
  const labels = fields.map(labelOf);
  const records: TableRecord[] = [];
  for (const row of rows) {
    const record: [string, string][] = [];
    for (const [i, field] of fields.entries()) {
      const text = field.marks.has('slow') && !all ? slow : (await show(row, field)).text;
      record.push([labels[i] as string, text]);
    }
    records.push(record);
    if (pace.isOver()) await pace.rest();
  }
  return records;
};

const listCommand = (of: Listed, visible: readonly ShownField[]): Command => ({
  name: `${of.name}-list`,
  doc: `Lists each ${of.name} whose fields are as they are given.`,
  optional: [
    ...['params', 'database:', ...visible.map(({ name }) => name)],
    ...visible.filter(({ kind }) => kind === 'set').map(({ name }) => `${name}:contains`),
  ],
  run: async (run) => {
    refuseDatabase(run);
    const { api, params, print, clock } = run;
    const show = showOf(of, run);
    const all = await rowsOfClass(api, of.cls);
    const rows = all.filter(
      ({ record }) => of.having === undefined || (record[of.having] as unknown[]).length > 0,
    );
    const filters = params.get('all') === 'true' ? [] : [...of.filters, ...filtersOf(run)];
    const left = await filtered(rows, filters, of, { show, clock });
    const fields = chosen(of, visible, params.get('params'));
    await print.table(await recordsOf(left, fields, { show, clock, all: false }));
  },
});

const chosen = (
  { list }: Listed,
  visible: readonly ShownField[],
  wanted: string | undefined,
): readonly ShownField[] => {
  const names = wanted?.split(',') ?? list;
  if (wanted === 'all' || names.length === 0) return visible;
  return visible.filter(({ name }) => names.includes(name));
};

const paramList = (of: Listed, visible: readonly ShownField[]): Command => ({
  name: `${of.name}-param-list`,
  doc: `Shows all fields of a ${of.name}.`,
  required: ['uuid'],
  optional: ['database:'],
  run: async (run) => {
    refuseDatabase(run);
    const row = await rowByUuid(run.api, of.cls, run.params.need('uuid'));
    const options = { show: showOf(of, run), clock: run.clock, all: true };
    await run.print.table(await recordsOf([row], visible, options));
  },
});

/** The field that `param-name` names. */
const namedField = ({ fields }: Listed, { params }: CommandRun): ShownField => {
  const name = params.need('param-name');
  const field = fields.find((one) => one.name === name);
  if (field === undefined) throw new ParameterFailure(name);
  return field;
};

const paramGet = (of: Listed): Command => ({
  name: `${of.name}-param-get`,
  doc: `Shows one field of a ${of.name}, or the value of one key of it.`,
  required: ['uuid', 'param-name'],
  optional: ['param-key', 'database:'],
  run: async (run) => {
    refuseDatabase(run);
    const row = await rowByUuid(run.api, of.cls, run.params.need('uuid'));
    const { text, pairs } = await showOf(of, run)(row, namedField(of, run));
    const key = run.params.get('param-key');
    if (key === undefined || pairs === undefined) return run.print.list([text]);
    const value = pairs.get(key);
    if (value === undefined) throw new CommandFailure(`Key ${key} not found in map`);
    await run.print.list([value]);
  },
});

/** An object to change, and what the other parameters say. */
const target = async (of: Listed, { api, params }: CommandRun) => {
  const row = await rowByUuid(api, of.cls, params.need('uuid'));
  return { row, at: { api, of, ref: row.ref } };
};

const paramSet = (of: Listed, visible: readonly ShownField[]): Command => {
  const settable = visible.filter(isSettable);
  return {
    name: `${of.name}-param-set`,
    doc: `Sets fields of a ${of.name}.`,
    required: ['uuid'],
    optional: [
      ...settable.filter(({ kind }) => kind !== 'map').map(({ name }) => name),
      ...settable.filter(({ kind }) => kind === 'map').map(({ name }) => `${name}:`),
    ],
    run: async (run) => {
      const { at } = await target(of, run);
      for (const [name, value] of filtersOf(run, ['uuid'])) await setField(at, name, value);
    },
  };
};

const paramAdd = (of: Listed): Command => ({
  name: `${of.name}-param-add`,
  doc: `Adds to a set or a map of a ${of.name}.`,
  required: ['uuid', 'param-name'],
  optional: ['param-key'],
  run: async (run) => {
    const { at, row } = await target(of, run);
    const pairs = filtersOf(run, ['uuid', 'param-name', 'param-key']);
    await addTo(at, namedField(of, run), { key: run.params.get('param-key'), pairs }, row);
  },
});

const paramRemove = (of: Listed): Command => ({
  name: `${of.name}-param-remove`,
  doc: `Removes a member of a set, or a key of a map, of a ${of.name}.`,
  required: ['uuid', 'param-name', 'param-key'],
  run: async (run) => {
    const { at, row } = await target(of, run);
    await removeFrom(at, namedField(of, run), run.params.need('param-key'), row);
  },
});

const paramClear = (of: Listed): Command => ({
  name: `${of.name}-param-clear`,
  doc: `Empties a field of a ${of.name}.`,
  required: ['uuid', 'param-name'],
  run: async (run) => {
    const { at, row } = await target(of, run);
    await clearField(at, namedField(of, run), row);
  },
});

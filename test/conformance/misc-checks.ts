import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import type { AnyClass } from '../../src/model/class.ts';
import type { WireMessage } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import type { Tx } from '../../src/store/view.ts';
import { type World, world } from '../world.ts';
import type { Case } from './cases.ts';
import { isOfTpm, tpms } from './scripts/tpms.ts';
import { type Adapter, against, outcome, skip } from './subject.ts';

// Calls about one object: rows and arguments are read off the declarations, by what the case says of them.

type Values = Readonly<Record<string, unknown>>;

const catalog = catalogOf(classes, behaviours);

const refOf = (name: string): string => `OpaqueRef:${name.replace(/^<|>$/g, '')}`;

/** A value of a case as a row holds it. */
const asHeld = (cls: AnyClass | undefined, field: string, value: unknown): unknown => {
  const kind = cls?.fields[field]?.type.kind;
  if (kind === undefined) return skip(`${cls?.name ?? 'nothing'} has no ${field}`);
  if (kind === 'map') return new Map(Object.entries(value as object));
  if (kind === 'int') return BigInt(value as number);
  return typeof value === 'string' && value.startsWith('<') ? refOf(value) : value;
};

interface Given {
  readonly cls: string;
  readonly name: string;
  readonly fields: Values;
}

const subjectKey = /^([A-Za-z_]+)(?: (\w+)|\.(\w+))?$/;

/** `VM`, `VM v` and `VM.platform` are rows; whatever else a case takes for given is about things not looked at. */
const givenRows = ({ given }: Case): readonly Given[] =>
  Object.entries(given).flatMap(([key, value]): readonly Given[] => {
    if (key === 'secrets' && Array.isArray(value)) {
      return (value as string[]).map((uuid) => ({ cls: 'secret', name: uuid, fields: { uuid } }));
    }
    const [, cls = '', name, field] = subjectKey.exec(key) ?? [];
    if (!catalog.classes.some((one) => one.name === cls)) return skip(`"${key}" is not understood`);
    return [{ cls, name: name ?? cls, fields: field === undefined ? (value as Values) : { [field]: value } }];
  });

/** Domain 0 is that by its host. */
const isDomainZero = 'is domain 0';

const placeOf = (at: World, { cls, name }: Given): string =>
  cls === 'host' ? at.host : cls === 'pool' ? at.pool : refOf(name);

interface AnyTx {
  get(...of: unknown[]): unknown;
  patch(...of: unknown[]): void;
  create(...of: unknown[]): void;
}

/** Who is at the other end of a field that follows from others says it. */
const relate = (
  tx: AnyTx,
  cls: AnyClass | undefined,
  field: string,
  names: readonly string[],
  ref: string,
): void => {
  const [otherClass = '', otherField = ''] = cls?.fields[field]?.inverse?.split('.') ?? [];
  for (const name of names) tx.create(otherClass, refOf(name), { uuid: name, [otherField]: ref });
};

const put = (at: World, tx: Tx, row: Given): void => {
  const cls = catalog.classes.find((one) => one.name === row.cls);
  const { [isDomainZero]: domainZero, ...given } = row.fields;
  const held = Object.entries(given).map(([field, value]) => [field, asHeld(cls, field, value)] as const);
  const isComputed = ([field]: readonly [string, unknown]): boolean => cls?.fields[field]?.computed === true;
  const computed = held.filter(isComputed);
  const fields = Object.fromEntries(held.filter((one) => !isComputed(one)));
  const ref = placeOf(at, row) as Ref<any>;
  const any = tx as unknown as AnyTx;
  if (any.get(row.cls, ref) === undefined) any.create(row.cls, ref, { uuid: row.name, ...fields });
  else any.patch(row.cls, ref, fields);
  for (const [field, names] of computed) relate(any, cls, field, [names].flat() as string[], ref);
  if (domainZero === true) {
    tx.patch('VM', ref, { is_control_domain: true, resident_on: at.host, power_state: 'Running' });
    tx.patch('host', at.host, { control_domain: ref });
  }
};

const argumentsOf = (message: WireMessage, { when }: Case, self: string): readonly unknown[] =>
  message.params.map(({ name, type, defaultValue }, index) => {
    if (index === 0 && message.hasSelf) return self;
    // Declared names begin with small letters, also those of classes.
    const value = when[name] ?? when[name[0]?.toUpperCase() + name.slice(1)] ?? defaultValue;
    if (value === undefined) return skip(`the case does not give ${name}`);
    if (type.kind === 'map') return new Map(Object.entries(value as object));
    if (type.kind === 'int') return BigInt(value as number);
    return typeof value === 'string' && value.startsWith('<') ? refOf(value) : value;
  });

const plain = (value: unknown): unknown =>
  value instanceof Map ? Object.fromEntries(value) : typeof value === 'bigint' ? Number(value) : value;

/** What became of what `then` names. */
const became = (at: World, { then }: Case, self: string): Values =>
  Object.fromEntries(
    Object.entries(then).map(([key, expected]) => {
      if (key === 'error') return [key, undefined];
      if (key === 'secrets left')
        return [key, [...at.store.committed.all('secret')].map(([, row]) => row.uuid)];
      const [, cls = '', name, field] = subjectKey.exec(key) ?? [];
      if (name !== undefined || !catalog.classes.some((one) => one.name === cls)) {
        return skip(`"${key}" is not looked at`);
      }
      const row = at.store.committed.require(cls as 'VM', self as Ref<'VM'>) as unknown as Values;
      if (field !== undefined) return [key, plain(row[field])];
      const fields = Object.keys(expected as object);
      return [key, Object.fromEntries(fields.map((one) => [one, plain(row[one])]))];
    }),
  );

const named = <T>(value: T): T => JSON.parse(JSON.stringify(value).replace(/<(\w+)>/g, 'OpaqueRef:$1'));

const ofRows: Adapter = async (one) => {
  const message = catalog.find(String(one.when['call'] ?? ''));
  if (message === undefined || catalog.handler(message) === undefined) {
    return skip(`${one.when['call'] ?? 'what is not a call'} is not built`);
  }
  const at = await world({ behaviours });
  try {
    const rows = givenRows(one);
    const cls = message.cls.name;
    const name = /^<(.+)>$/.exec(String(one.when['self']))?.[1] ?? cls;
    const about = rows.find((row) => row.cls === cls) ?? { cls, name, fields: {} };
    const self = placeOf(at, about);
    const args = argumentsOf(message, one, self);
    await at.store.commit((tx) => {
      for (const row of message.hasSelf ? [...rows, about] : rows) put(at, tx, row);
    });
    const result = await outcome(async () => {
      await at.call(message.method, ...args);
      return became(at, one, self);
    });
    const refused = typeof result === 'object' && result !== null && 'error' in result;
    const { error, ...rest } = one.then;
    if (!refused || error === undefined || Object.keys(rest).length === 0)
      return against(result, named(one.then));
    const { error: _, ...unchanged } = became(at, one, self);
    return against({ ...(result as object), ...unchanged }, named(one.then));
  } finally {
    await at.close();
  }
};

export const miscChecks: Adapter = Object.assign((one: Case) => (isOfTpm(one) ? tpms(one) : ofRows(one)), {
  close: async () => tpms.close?.(),
});

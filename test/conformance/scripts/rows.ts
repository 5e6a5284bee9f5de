import type { AnyClass, Field } from '../../../src/model/class.ts';
import { dateTimeOf, nullRef, type Type } from '../../../src/model/types.ts';
import { skip } from '../subject.ts';
import type { Live } from './live.ts';

/** The objects of a case: each is called as the case calls it, `<vm>` or `VM`, and that is its reference too. */
export interface Rows {
  /** The declared class that a case means, whatever its case; nothing: there is none. */
  classNamed(word: string): AnyClass | undefined;
  /** Reference of an object that a case has named so far. */
  known(name: string): string | undefined;
  /** Reference of an object that is made if there is none yet. */
  object(name: string, cls?: string): string;
  /** The class of an object that a case has named. */
  classOf(name: string): AnyClass;
  /** The declared field that a case means, and its type. */
  field(object: string, said: string): readonly [string, Type<unknown>];
  /** Has its class's object called otherwise from now on, because a call made it. */
  adopt(cls: string, ref: string): void;
  bind(name: string, ref: string): void;
  /** What a field is before anything is done; `valid` and `dangling` are for references. */
  set(object: string, field: string, said: unknown): void;
  /** Gives an object all that its class needs, but for what is said already. */
  complete(name: string, but?: (field: string) => boolean): void;
  /** Has an object another name, such as that of its metrics; false: neither class has a field for the other. */
  own(owner: string, other: string): boolean;
  /** A text of a case as a field or parameter of this type takes it. */
  value(type: Type<unknown>, said: unknown, form?: 'row' | 'wire'): unknown;
  /** Commits what is not there yet. */
  make(): Promise<void>;
  row(object: string): Record<string, unknown> | undefined;
  /** Found and expected, both as JSON would have them. */
  compare(object: string, field: string, said: unknown): readonly [unknown, unknown];
  /** Names of the objects that were made so far, of one class. */
  of(cls: string): readonly string[];
}

/** The classes of a database that some cases tell of, and what stands for them here. */
const standIns: Readonly<Record<string, readonly [cls: string, fields: Readonly<Record<string, string>>]>> = {
  foo: ['VM', { bars: 'groups' }],
  bar: ['VM_group', { foos: 'VMs' }],
  net: ['network', {}],
};

const periodForm = /(over|more than|less than|under)? ?(\d+) (s|sec|m|h|d)[a-z]* ago$/;
const periodsMs: Readonly<Record<string, number>> = {
  s: 1_000,
  sec: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time that a case tells as so long ago. */
export const timeOf = (said: string, nowMs: number): number => {
  const [, how = '', count = '', unit = ''] = periodForm.exec(said) ?? skip(`"${said}" is no time`);
  const more = { over: 60_000, 'more than': 60_000, under: -60_000, 'less than': -60_000 }[how] ?? 0;
  return nowMs - Number(count) * (periodsMs[unit] ?? 0) - more;
};

interface Planned {
  readonly cls: AnyClass;
  readonly fields: Record<string, unknown>;
}

const isName = (said: unknown): said is string =>
  typeof said === 'string' && /^(<.+>|[a-z]+:\d+)$/.test(said);

export const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]));
  return value;
};

export const rowsOf = ({ host, rows }: Pick<Live, 'host' | 'rows'>): Rows => {
  const { catalog, store, pool, services } = host.world;
  const references = new Map<string, string>();
  const classes = new Map<string, AnyClass>();
  const planned = new Map<string, Planned>();
  const doomed = new Set<string>();
  let count = 0;

  const classNamed: Rows['classNamed'] = (word) => {
    const name = (standIns[word]?.[0] ?? word).toLowerCase();
    return catalog.classes.find((one) => String(one.name).toLowerCase() === name);
  };
  const wordOf = (name: string): string => name.replace(/^<|>$|:\d+$/g, '');
  const classOfName = (name: string): AnyClass | undefined =>
    classNamed(wordOf(name)) ??
    classNamed(wordOf(name).replace(/\d+$/, '')) ??
    classNamed(wordOf(name).split(/[ _]/).at(-1) ?? '');

  const read = (ref: string, cls: AnyClass): any => store.committed.get(cls.name as never, ref as never);

  /** `VM` is the same object as `<vm>`. */
  const nameOf = (name: string): string => {
    if (isName(name as unknown)) return name;
    return name in standIns && name !== 'net' ? `${name}:1` : `<${name.toLowerCase()}>`;
  };

  const object: Rows['object'] = (said, ofClass) => {
    const name = nameOf(said);
    const known = references.get(name);
    if (known !== undefined) return known;
    const cls = classNamed(ofClass ?? '') ?? classOfName(name) ?? (classNamed('network') as AnyClass);
    const alone = { pool, host: services.host }[cls.name as string];
    const ref = alone !== undefined && name === nameOf(cls.name) ? alone : name;
    references.set(name, ref);
    classes.set(name, cls);
    if (ref === name) planned.set(name, { cls, fields: {} });
    return ref;
  };

  const classOf = (name: string): AnyClass => {
    object(name);
    return classes.get(nameOf(name)) as AnyClass;
  };

  const fieldOf = (name: string, said: string): readonly [string, Field] => {
    const cls = classOf(name);
    const field = standIns[wordOf(name)]?.[1][said] ?? said;
    return [field, cls.fields[field] ?? skip(`${cls.name} has no field ${said}`)];
  };

  const reference = (of: string | undefined, said: string): string => {
    if (said === nullRef || said === 'NULL' || said === 'null') return nullRef;
    if (said !== 'valid' && said !== 'dangling') return isName(said) ? object(said, of) : said;
    count += 1;
    const name = `<${said} ${of} ${count}>`;
    object(name, of);
    if (said === 'dangling') doomed.add(name);
    else complete(name);
    return name;
  };

  const complete: Rows['complete'] = (name, but = () => false) => {
    const cls = classOf(name);
    for (const ways of (cls.needs ?? []).map((need) => [need].flat())) {
      if (ways.some(but)) continue;
      const [way = ''] = ways;
      if (cls.fields[way] === undefined) skip(`what ${cls.name} needs, ${way}, is not among its own fields`);
      if (cls.fields[way]?.computed !== true) set(name, way, 'valid');
    }
  };

  const value: Rows['value'] = (type, said, form = 'row') => {
    const inside = (one: unknown, part = type.item): unknown =>
      part === undefined ? one : value(part, one, form);
    if (type.kind === 'ref') return reference(type.of, String(said));
    if (type.kind === 'set') return [said].flat().map((one) => inside(one));
    if (type.kind === 'int') return BigInt(said as number);
    if (type.kind === 'map') {
      return new Map(Object.entries(said as object).map(([k, v]) => [inside(k, type.key), inside(v)]));
    }
    if (type.kind === 'datetime') {
      const dateTime = dateTimeOf(timeOf(String(said), services.clock.now()));
      return form === 'wire' ? { dateTime } : dateTime;
    }
    return said;
  };

  const set: Rows['set'] = (name, said, what) => {
    const [field, { type, computed, inverse = '' }] = fieldOf(name, said);
    const ref = object(name);
    if (computed !== true) {
      const plan = planned.get(nameOf(name)) ?? skip(`${name} is there already and is not changed`);
      plan.fields[field] = value(type, what);
      return;
    }
    // Whoever is at the other end says it.
    const [otherClass = '', otherField = ''] = inverse.split('.');
    const members =
      typeof what === 'number' ? Array.from({ length: what }, (_, i) => `<${otherClass}${i}>`) : what;
    for (const member of [members].flat() as string[]) {
      object(member, otherClass);
      const many = classOf(member).fields[otherField]?.type.kind === 'set';
      (planned.get(nameOf(member)) as Planned).fields[otherField] = many ? [ref] : ref;
    }
  };

  const own: Rows['own'] = (owner, other) => {
    const [from, to] = [classOf(owner), classNamed(other)];
    if (to === undefined) return false;
    const naming = (a: AnyClass, b: AnyClass): string | undefined =>
      Object.entries(a.fields).find(([, { type, computed }]) => type.of === b.name && computed !== true)?.[0];
    const field = naming(from, to);
    if (field !== undefined) set(owner, field, `<${other.toLowerCase()}>`);
    else set(other, naming(to, from) ?? skip(`${owner} has no ${other}`), nameOf(owner));
    return true;
  };

  const make: Rows['make'] = async () => {
    if (planned.size > 0) {
      const made = [...planned];
      planned.clear();
      await rows((tx) => {
        for (const [ref, { cls }] of made) {
          const usual = 'uuid' in cls.fields ? { uuid: `uuid of ${ref}` } : {};
          tx.create(cls.name as never, ref as never, usual as never);
        }
        // Now that whoever they name is there.
        for (const [ref, { cls, fields }] of made) {
          tx.patch(cls.name as never, ref as never, fields as never);
        }
      });
    }
    const gone = [...doomed];
    doomed.clear();
    if (gone.length === 0) return;
    await rows((tx) => {
      for (const name of gone) tx.delete(classOf(name).name as never, name as never);
    });
  };

  const row: Rows['row'] = (name) => read(object(name), classOf(name));

  const compare: Rows['compare'] = (name, said, expected) => {
    const [field, { type }] = fieldOf(name, said);
    const found = row(name)?.[field];
    const says = (one: unknown): unknown => {
      if (Array.isArray(one)) return one.map(says);
      if (typeof one !== 'string') return one;
      const bare = type.kind === 'ref' ? one.replace(/ \(.*\)$/, '') : one;
      return isName(bare) ? (references.get(nameOf(bare)) ?? bare) : bare;
    };
    const ordered = (one: unknown): unknown =>
      type.kind === 'set' && Array.isArray(one) ? [...one].sort() : one;
    return [ordered(plain(found)), ordered(says(expected))];
  };

  return {
    classNamed,
    known: (name) => references.get(nameOf(name)),
    object,
    classOf,
    field: (name, said) => {
      const [field, { type }] = fieldOf(name, said);
      return [field, type];
    },
    bind: (name, ref) => void references.set(nameOf(name), ref),
    adopt: (cls, ref) => {
      planned.delete(nameOf(cls));
      references.set(nameOf(cls), ref);
      classes.set(nameOf(cls), classNamed(cls) as AnyClass);
    },
    set,
    complete,
    own,
    value,
    make,
    row,
    compare,
    of: (cls) => [...references.keys()].filter((name) => classes.get(name)?.name === classNamed(cls)?.name),
  };
};

import type { AnyClass, Field } from '../model/class.ts';
import { type Holding, holdingOf } from '../model/references.ts';

export type AnyRecord = Readonly<Record<string, unknown>>;

/** What the store needs to know of a class, read off its declaration once. */
export interface Schema {
  readonly cls: AnyClass;
  /** Rows of it survive a restart. */
  readonly persist: boolean;
  /** Changes of it are told to watchers. */
  readonly events: boolean;
  readonly fieldNames: readonly string[];
  /** The fields that are written to disk. */
  readonly storedFields: readonly string[];
  readonly stored: ReadonlySet<string>;
  readonly relations: ReadonlyMap<string, Relation>;
  /** Fields by whose references rows are found, and where those are in them. */
  readonly indexed: ReadonlyMap<string, Holding>;
  readonly defaults: AnyRecord;
  /** Those of the stored fields alone. */
  readonly storedDefaults: AnyRecord;
}

/** A field that refers to rows whose own field refers back. */
export interface Relation {
  readonly field: string;
  readonly many: boolean;
  readonly otherClass: string;
  readonly otherField: string;
  readonly otherMany: boolean;
  /** Derived from the other end: never written to disk and rebuilt when the store opens. */
  readonly computed: boolean;
}

const relationOf = (
  cls: AnyClass,
  name: string,
  field: Field,
  classes: ReadonlyMap<string, AnyClass>,
): Relation | undefined => {
  if (field.inverse === undefined || field.inverse === `${cls.name}.${name}`) return undefined;
  const [otherClass = '', otherField = ''] = field.inverse.split('.');
  const other = classes.get(otherClass)?.fields[otherField];
  if (other === undefined) return undefined;
  return {
    field: name,
    many: field.type.kind === 'set',
    otherClass,
    otherField,
    otherMany: other.type.kind === 'set',
    computed: field.computed === true,
  };
};

export const schemasOf = (all: readonly AnyClass[]): ReadonlyMap<string, Schema> => {
  const classes = new Map(all.map((cls) => [cls.name, cls]));
  return new Map(all.map((cls) => [cls.name, schemaOf(cls, classes)]));
};

/**
 * Rows that must change when one goes are found by an index, where the one that goes does not name them
 * itself.
 */
const indexOf = (name: string, field: Field): readonly (readonly [string, Holding])[] => {
  const follows = field.gone === 'cleared' || field.gone === 'goes too';
  const wanted = field.indexed === true || (follows && field.inverse === undefined);
  // A text may be indexed as a reference is.
  return wanted ? [[name, holdingOf(field.type) ?? { of: '', where: 'itself' }]] : [];
};

const schemaOf = (cls: AnyClass, classes: ReadonlyMap<string, AnyClass>): Schema => {
  const fields = Object.entries(cls.fields);
  const storedFields = fields
    .filter(([, field]) => field.persist !== false && field.computed !== true)
    .map(([name]) => name);
  const relations = fields.flatMap(([name, field]) => {
    const relation = relationOf(cls, name, field, classes);
    return relation === undefined ? [] : [[name, relation] as const];
  });
  const defaults = Object.fromEntries(
    fields.map(([name, field]) => [name, field.default ?? field.type.empty]),
  );
  return {
    cls,
    persist: cls.persist !== false || cls.survives === true,
    events: cls.events !== false,
    fieldNames: fields.map(([name]) => name),
    storedFields,
    stored: new Set(storedFields),
    relations: new Map(relations),
    indexed: new Map(fields.flatMap(([name, field]) => indexOf(name, field))),
    defaults,
    storedDefaults: Object.fromEntries(storedFields.map((name) => [name, defaults[name]])),
  };
};

import type { AnyClass } from '../model/class.ts';
import type { Type } from '../model/types.ts';
import { own } from '../std/own.ts';
import type { AnyRecord } from './schema.ts';

/** What values of fields are, in words that another process can be given: by class, then by field. */
export type Shapes = Readonly<Record<string, Readonly<Record<string, string>>>>;

const shapeOf = ({ kind }: Type<unknown>): string | undefined => {
  if (kind === 'int') return 'bigint';
  if (kind === 'float') return 'number';
  if (kind === 'bool') return 'boolean';
  if (kind === 'set' || kind === 'map') return kind;
  return kind === 'record' || kind === 'option' || kind === 'void' ? undefined : 'string';
};

export const shapesOf = (classes: readonly AnyClass[]): Shapes =>
  Object.fromEntries(
    classes.map(({ name, fields }) => {
      const shapes = Object.entries(fields).map(([field, { type }]) => [field, shapeOf(type)] as const);
      return [name, Object.fromEntries(shapes.flatMap(([field, shape]) => (shape ? [[field, shape]] : [])))];
    }),
  );

const shapeFound = (value: unknown): string => {
  if (Array.isArray(value)) return 'set';
  return value instanceof Map ? 'map' : typeof value;
};

/** A field whose value is nothing that its class declares, such as a number where a text belongs. */
export const misshapen = (shapes: Shapes, cls: string, fields: AnyRecord): string | undefined => {
  const known = own(shapes, cls);
  if (known === undefined) return undefined;
  return Object.keys(fields).find((name) => {
    const shape = own(known, name);
    return shape !== undefined && shapeFound(fields[name]) !== shape;
  });
};

import type { AnyClass, ClassName } from '../model/class.ts';
import { constructorFields, type WireMessage } from '../model/derive.ts';
import { measured } from '../model/sizes.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Struct, Value } from '../std/value.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Deciding } from './implement.ts';

/**
 * How implicit messages are done where their class says nothing else. Arguments are in wire order, without
 * `self`.
 */
export type ImplicitDecision = (deciding: Deciding, args: readonly unknown[]) => unknown;

const sameKey = (members: readonly unknown[], value: unknown): boolean => members.includes(value);

export const implicitDecision = (message: WireMessage): ImplicitDecision | undefined => {
  const cls = message.cls.name as ClassName;
  const name = message.field ?? '';
  const column = message.cls.fields[name]?.column ?? name;
  const read = ({ tx, self }: Deciding): unknown => (tx.require(cls, self as Ref<any>) as AnyRecord)[name];
  const write = ({ tx, self }: Deciding, value: unknown): void =>
    tx.patch(cls, self as Ref<any>, { [name]: value } as never);
  const isMap = message.cls.fields[name]?.type.kind === 'map';

  if (message.kind === 'setter') return (deciding, [value]) => write(deciding, value);
  if (message.kind === 'adder' && isMap) {
    return (deciding, [key, value]) => {
      const old = read(deciding) as ReadonlyMap<unknown, unknown>;
      if (old.has(key)) throw new Fault('MAP_DUPLICATE_KEY', [cls, column, deciding.self, String(key)]);
      write(deciding, new Map([...old, [key, value]]));
    };
  }
  if (message.kind === 'remover' && isMap) {
    return (deciding, [key]) => {
      const old = read(deciding) as ReadonlyMap<unknown, unknown>;
      if (old.has(key)) write(deciding, new Map([...old].filter(([one]) => one !== key)));
    };
  }
  if (message.kind === 'adder') {
    return (deciding, [value]) => {
      const old = read(deciding) as readonly unknown[];
      if (!sameKey(old, value)) write(deciding, [...old, value]);
    };
  }
  if (message.kind === 'remover') {
    return (deciding, [value]) => {
      const old = read(deciding) as readonly unknown[];
      write(
        deciding,
        old.filter((one) => one !== value),
      );
    };
  }
  return undefined;
};

/** Keys that a call would put into a map of its class's rows. */
const keysGiven = (message: WireMessage, args: readonly unknown[]): readonly unknown[] => {
  const maps = Object.entries(message.cls.fields).flatMap(([name, { type }]) =>
    type.kind === 'map' ? [name] : [],
  );
  if (message.kind === 'constructor') {
    return maps.flatMap((name) => {
      const value = (args[0] as Struct).get(name);
      return value instanceof Map ? [...value.keys()] : [];
    });
  }
  const field = /^(?:set|add_to)_(.+)$/.exec(message.name)?.[1] ?? '';
  if (!maps.includes(field)) return [];
  const given = args[message.hasSelf ? 1 : 0];
  return given instanceof Map ? [...given.keys()] : [given];
};

/** A key is a name: nothing could be looked up or taken away under none. */
export const assertKeyed = (message: WireMessage, args: readonly unknown[]): void => {
  if (!keysGiven(message, args).includes('')) return;
  throw new Fault('INTERNAL_ERROR', [`${message.method}: a key of a map cannot be empty, so give it a name`]);
};

/**
 * The trusted fields of a constructor's struct. A member that the class does not have is ignored, a
 * mandatory one that is missing is refused.
 */
export const readConstructor = (cls: AnyClass, struct: Struct): AnyRecord =>
  Object.fromEntries(
    constructorFields(cls).flatMap(([name, field]) => {
      const value: Value | undefined = struct.get(name);
      if (value !== undefined) {
        const read = field.type.read(value, name);
        measured(field.type, read, name);
        return [[name, read]];
      }
      if (field.default !== undefined) return [];
      throw new Fault('INTERNAL_ERROR', [`Server_helpers.Dispatcher_FieldNotFound("${name}")`]);
    }),
  );

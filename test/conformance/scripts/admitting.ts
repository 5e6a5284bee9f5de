import { isDeepStrictEqual } from 'node:util';
import { behaviours } from '../../../actors/behaviours.ts';
import type { AnyClass, ClassName } from '../../../src/model/class.ts';
import { constructorFields, type WireMessage } from '../../../src/model/derive.ts';
import { nullRef, type Ref, type Type } from '../../../src/model/types.ts';
import type { AnyHandler, Behaviour } from '../../../src/objects/implement.ts';
import type { Value } from '../../../src/std/value.ts';
import type { AnyRecord } from '../../../src/store/schema.ts';
import type { Tx } from '../../../src/store/view.ts';
import { against } from '../subject.ts';
import type { Rows } from '../vm-rows.ts';
import { type Live, together } from './live.ts';

// Admission as clients meet it: a state is put into the rows of a host, and then every message that is carried
// out as an operation is sent to it. Many of the states cannot be had by calls, such as operations that never
// end, so the rows are written. The messages do nothing once they are admitted.

/** A message that takes time, without what it does and where: what it is admitted as stays. */
const idly = (handler: AnyHandler): AnyHandler => {
  if (!('work' in handler) || (handler.operation ?? handler.holds) === undefined) return handler;
  const { at: _, unless: __, ...rest } = handler;
  return { ...rest, work: async () => undefined };
};

const idle = behaviours.map((behaviour) => ({
  ...behaviour,
  handlers: Object.fromEntries(Object.entries(behaviour.handlers).map(([name, one]) => [name, idly(one)])),
})) as readonly Behaviour<any>[];

/** Whatever would have to wait says at once what for. */
export const admitting = (script: Parameters<typeof together>[0]) =>
  together(script, { behaviours: idle, waitMs: 0 });

/** Messages of a class that are carried out as this operation. */
export const messagesFor = ({ host }: Live, cls: string, operation: string): readonly WireMessage[] => {
  const { catalog } = host.world;
  const { handlers = {} } = catalog.behaviour(cls) ?? {};
  return Object.entries(handlers).flatMap(([name, handler]) => {
    const message = catalog.find(`${cls}.${name}`);
    return message !== undefined && 'operation' in handler && handler.operation === operation
      ? [message]
      : [];
  });
};

/** The rows that are there in all cases, and what they are like before. */
const lasting: readonly ClassName[] = ['pool', 'host', 'session'];

const clear = (tx: Tx, classes: readonly AnyClass[]): void => {
  for (const { name } of classes) {
    if (lasting.includes(name as ClassName)) continue;
    for (const [ref] of [...tx.all(name as ClassName)]) tx.delete(name as ClassName, ref as Ref<any>);
  }
};

/** Who is at the other end of a field that follows from others says it: one that no row is given for is made. */
const relate = (tx: Tx, cls: AnyClass, ref: string, [name, value]: readonly [string, unknown]): void => {
  const [otherClass = '', otherField = ''] = cls.fields[name]?.inverse?.split('.') ?? [];
  for (const other of [value].flat() as Ref<any>[]) {
    if (otherClass === '' || tx.get(otherClass as ClassName, other) !== undefined) continue;
    tx.create(otherClass as ClassName, other, { uuid: other, [otherField]: ref } as never);
  }
};

/** What `pool` and `host` say before any case. */
const before = new WeakMap<Live, ReadonlyMap<string, AnyRecord>>();

const original = (at: Live, cls: ClassName, ref: string): AnyRecord => {
  const known = before.get(at) ?? new Map<string, AnyRecord>();
  const record = known.get(ref) ?? (at.host.world.store.committed.require(cls, ref as Ref<any>) as AnyRecord);
  before.set(at, new Map([...known, [ref, record]]));
  return record;
};

const last = new WeakMap<Live, Rows>();

/** Has the host these rows and no others: first that they are there, then what they say and what follows. */
export const putRows = async (at: Live, rows: Rows): Promise<void> => {
  // Idle messages leave them as they are.
  if (isDeepStrictEqual(last.get(at), rows)) return;
  last.set(at, rows);
  const { catalog } = at.host.world;
  const given = catalog.classes.flatMap((cls) =>
    Object.entries(rows[cls.name] ?? {}).map(([ref, fields]) => {
      const all = Object.entries(fields).filter(([name]) => cls.fields[name] !== undefined);
      const isComputed = ([name]: readonly [string, unknown]): boolean => cls.fields[name]?.computed === true;
      return {
        cls,
        ref,
        own: Object.fromEntries(all.filter((one) => !isComputed(one))),
        computed: all.filter(isComputed),
      };
    }),
  );
  await at.rows((tx) => {
    clear(tx, catalog.classes);
    for (const { cls, ref } of given) {
      const name = cls.name as ClassName;
      if (!lasting.includes(name)) tx.create(name, ref as Ref<any>, { uuid: ref } as never);
    }
  });
  await at.rows((tx) => {
    for (const { cls, ref, own } of given) {
      const name = cls.name as ClassName;
      const kept = lasting.includes(name) ? original(at, name, ref) : {};
      tx.patch(name, ref as Ref<any>, { ...kept, ...own } as never);
    }
    for (const { cls, ref, computed } of given) for (const one of computed) relate(tx, cls, ref, one);
  });
};

/** A value of each type, where a reference is to what the case has of its class. */
const exampleOf =
  (rows: Rows) =>
  ({ kind, of = '', empty }: Type<unknown>): Value => {
    if (kind === 'ref') return Object.keys(rows[of] ?? {})[0] ?? nullRef;
    if (kind === 'datetime') return { dateTime: '19700101T00:00:00Z' };
    return kind === 'string' ? 'text' : (empty as Value);
  };

export const argumentsFor = (rows: Rows, { kind, cls, params }: WireMessage): readonly Value[] => {
  const value = exampleOf(rows);
  if (kind !== 'constructor') return params.map(({ type }) => value(type));
  return [new Map(constructorFields(cls).map(([name, { type }]) => [name, value(type)]))];
};

/** What became of it: whether it was admitted. Odd ones are asked over XML-RPC. */
let calls = 0;
export const asked = async (
  { host, root }: Live,
  method: string,
  args: readonly Value[],
): Promise<unknown> => {
  calls += 1;
  const reply = await (calls % 2 === 0 ? host.json : host.xml)(method, root, ...args);
  return 'error' in reply ? { allowed: false, error: reply.error } : { allowed: true };
};

/** Every message of the operation, by its name, with what it should have answered. */
export const compared = (
  found: Readonly<Record<string, unknown>>,
  then: (name: string) => unknown,
): unknown => against(found, Object.fromEntries(Object.keys(found).map((name) => [name, then(name)])));

// Goal: no client can give more than the limits of what it gives it to, in one call or in many.
// Method: each message of the wire, over both protocols, with one argument too large; then rows that grow.
import { afterAll, beforeAll, expect, test } from 'vitest';
import taskBehaviour from '../../actors/task/behaviour.ts';
import { task } from '../../actors/task/class.ts';
import { constructorFields, type WireMessage } from '../../src/model/derive.ts';
import { bytesMaxOf, collectionBytesMax, itemsMaxOf, rowBytesMax } from '../../src/model/sizes.ts';
import type { Ref, Type } from '../../src/model/types.ts';
import type { Value } from '../../src/std/value.ts';
import { type Served, served } from './served.ts';

let host: Served;
let root: string;
beforeAll(async () => {
  host = await served({ behaviours: [taskBehaviour] });
  root = await host.session();
});
afterAll(() => host.close());

/** A value of a type that is just beyond its limit; undefined of types whose values have one size. */
const tooLarge = (type: Type<any>): Value | undefined => {
  const { kind, item, key } = type;
  if (kind === 'option' && item !== undefined) return tooLarge(item);
  if (kind === 'string' || kind === 'ref') return 'x'.repeat(bytesMaxOf(type) + 1);
  if (kind === 'set' && item !== undefined) return Array(itemsMaxOf(type) + 1).fill(sample(item));
  if (kind !== 'map' || item === undefined || key?.kind === 'enum') return undefined;
  return new Map(Array.from({ length: itemsMaxOf(type) + 1 }, (_, i) => [`${i}`, sample(item)]));
};

/** A value that its type takes, as it is on the wire. */
const sample = ({ kind, empty, item, of }: Type<any>): Value => {
  if (kind === 'option' && item !== undefined) return sample(item);
  if (kind !== 'record') return kind === 'datetime' ? { dateTime: String(empty) } : empty;
  const cls = host.world.catalog.classes.find(({ name }) => name === of);
  return new Map(
    (cls === undefined ? [] : constructorFields(cls)).map(([name, { type }]) => [name, sample(type)]),
  );
};

const errorOf = async (i: number, { method }: WireMessage, args: readonly Value[]): Promise<unknown> => {
  const reply = await (i % 2 === 0 ? host.xml : host.json)(method, root, ...args);
  return 'error' in reply ? reply.error.slice(0, 2) : 'taken';
};

test('an argument beyond its limit is refused by name, of each message', async () => {
  const wrong: unknown[] = [];
  let tried = 0;
  for (const message of host.world.catalog.messages) {
    if (message.declared?.sessionless === true) continue;
    // The last that has a limit: `self` has one of each.
    const at = message.params.findLastIndex(({ type }) => tooLarge(type) !== undefined);
    const param = message.params[at];
    if (param === undefined) continue;
    const args = message.params.map((one, i) => (i === at ? (tooLarge(one.type) ?? '') : sample(one.type)));
    tried += 1;
    const answer = await errorOf(tried, message, args);
    if (String(answer) !== `INVALID_VALUE,${param.name}`) wrong.push([message.method, answer]);
  }
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(500);
}, 120_000);

test('a field beyond its limit is refused by name, of each constructor', async () => {
  const wrong: unknown[] = [];
  let tried = 0;
  for (const message of host.world.catalog.messages.filter(({ kind }) => kind === 'constructor')) {
    for (const [name, { type }] of constructorFields(message.cls)) {
      const value = tooLarge(type);
      if (value === undefined) continue;
      const record = sample(message.params[0]?.type as Type<any>) as ReadonlyMap<string, Value>;
      tried += 1;
      const answer = await errorOf(tried, message, [new Map([...record, [name, value]])]);
      if (String(answer) !== `INVALID_VALUE,${name}`) wrong.push([message.method, name, answer]);
    }
  }
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(50);
}, 60_000);

const made = (): Promise<Ref<'task'>> => host.call('task.create', root, 'a', '');

test('a map grows to its limit and no further, and keeps what it has', async () => {
  const ref = await made();
  const value = 'x'.repeat(100_000);
  for (let i = 0; i < 10; i++) await host.call('task.add_to_other_config', root, ref, `k${i}`, value);
  const reply = await host.json('task.add_to_other_config', root, ref, 'one more', value);
  expect(reply).toEqual({
    error: ['INVALID_VALUE', 'other_config', `Larger than ${collectionBytesMax} bytes in all`],
  });
  expect((await host.call('task.get_other_config', root, ref)).size).toBe(10);
});

test('a row has a limit beside those of its fields', async () => {
  const ref = await made();
  const long = 'x'.repeat(bytesMaxOf(task.fields.result.type));
  const write = (changes: object) => host.world.store.commit((tx) => tx.patch('task', ref, changes));
  await write({ result: long, name_label: 'x'.repeat(100_000), name_description: 'x'.repeat(100_000) });
  await write({
    other_config: new Map(Array.from({ length: 10 }, (_, i) => [`k${i}`, 'x'.repeat(100_000)])),
  });
  await expect(write({ error_info: Array(10).fill('x'.repeat(100_000)) })).rejects.toMatchObject({
    code: 'INVALID_VALUE',
    params: ['error_info', expect.stringContaining(`${rowBytesMax} bytes`)],
  });
});

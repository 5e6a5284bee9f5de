// Goal: every text but the empty one is a key of a map like any other, such as the names that all objects have.
// Method: hostile keys through the real door, over both protocols, in every map that clients set, and back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import type { ClassName } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { isStruct } from '../../src/std/value.ts';
import { type Served, served } from './served.ts';

let host: Served;
let root: string;
beforeAll(async () => {
  host = await served({ behaviours: behaviours.filter(({ cls }) => cls.name !== 'session') });
  root = await host.session();
});
afterAll(() => host.close());

const hostile = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', 'a.b', ' ', "'"];

/** Maps of texts that any client may change key by key, with nothing else to be right first. */
const fields = () =>
  host.world.catalog.messages.flatMap(({ kind, cls, field = '', removed }) =>
    kind === 'adder' && !removed && cls.fields[field]?.type.name === '(string -> string) map'
      ? [[cls.name, field] as const]
      : [],
  );

const rowOf = async (cls: string): Promise<string> => {
  const [known] = host.world.store.committed.all(cls as ClassName);
  if (known !== undefined) return known[0];
  const ref = `OpaqueRef:a ${cls}`;
  await host.world.store.commit((tx) =>
    tx.create(cls as ClassName, ref as Ref<any>, { uuid: `a ${cls}` } as object),
  );
  return ref;
};

test('a hostile key is kept under its own name in every map, and removed again', async () => {
  const kept: string[] = [];
  const wrong: unknown[] = [];
  for (const [cls, field] of fields()) {
    const ref = await rowOf(cls);
    for (const [i, key] of hostile.entries()) {
      const speak = i % 2 === 0 ? host.xml : host.json;
      const reply = await speak(`${cls}.add_to_${field}`, root, ref, key, `v ${i}`);
      // Some maps take keys of a list only, and say so.
      if ('error' in reply && reply.error[0] === 'INVALID_VALUE') continue;
      const map = await speak(`${cls}.get_${field}`, root, ref);
      const value = 'value' in map && isStruct(map.value) ? map.value.get(key) : map;
      if ('error' in reply || value !== `v ${i}`) wrong.push([cls, field, key, reply, value]);
      const again = await speak(`${cls}.add_to_${field}`, root, ref, key, '');
      if (!('error' in again) || again.error[0] !== 'MAP_DUPLICATE_KEY') wrong.push([cls, field, key, again]);
      await speak(`${cls}.remove_from_${field}`, root, ref, key);
      const left = await speak(`${cls}.get_${field}`, root, ref);
      if ('value' in left && isStruct(left.value) && left.value.has(key)) wrong.push([cls, field, key, left]);
      kept.push(`${cls}.${field}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(new Set(kept).size).toBeGreaterThan(25);
}, 60_000);

test('an empty key is refused as from other servers, alone and in a whole map', async () => {
  const ref = await rowOf('network');
  for (const speak of [host.xml, host.json]) {
    for (const call of [
      speak('network.add_to_other_config', root, ref, '', 'v'),
      speak('network.set_other_config', root, ref, new Map([['', 'v']])),
    ]) {
      expect(await call).toMatchObject({
        error: ['INTERNAL_ERROR', expect.stringContaining('other_config')],
      });
    }
  }
  expect(host.world.store.committed.require('network', ref as Ref<'network'>).other_config.has('')).toBe(
    false,
  );
});

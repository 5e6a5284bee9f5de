// Goal: clients that mean no object say so by the null reference or by an empty string, and both do the same.
// Method: every message that takes references, by its declaration; some of them over the wire in both languages.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import VM from '../../actors/vm/behaviour.ts';
import { constructorFields, type WireParam, wireMessages } from '../../src/model/derive.ts';
import { nullRef, type Type } from '../../src/model/types.ts';
import type { Value } from '../../src/std/value.ts';
import { fakeHypervisor, vmFields } from '../actors/vm-bench.ts';
import { at, type Served, served } from './served.ts';

const referring = (type: Type<unknown>): Type<unknown> | undefined =>
  type.kind === 'ref' ? type : type.kind === 'set' && type.item?.kind === 'ref' ? type.item : undefined;

test('every parameter and constructor field that names an object takes an empty string as the null reference', () => {
  const wrong: string[] = [];
  let seen = 0;
  const look = (where: string, type: Type<unknown>): void => {
    const one = referring(type);
    if (one === undefined) return;
    seen += 1;
    if (one.read('', '') !== nullRef) wrong.push(where);
  };
  for (const cls of classes) {
    for (const [field, { type }] of constructorFields(cls)) look(`${cls.name}.create ${field}`, type);
    for (const message of wireMessages(cls)) {
      const others: readonly WireParam[] = message.hasSelf ? message.params.slice(1) : message.params;
      for (const { name, type } of others) look(`${message.method} ${name}`, type);
    }
  }
  expect(wrong).toEqual([]);
  expect(seen).toBeGreaterThan(100);
});

let host: Served;
let root: string;
beforeAll(async () => {
  host = await served({ behaviours: [VM], hypervisor: fakeHypervisor() });
  root = await host.session();
});
afterAll(() => host.close());

const created = async (language: 'xml' | 'json', fields: Record<string, unknown>): Promise<string> => {
  const wire = [...vmFields(fields)].map(([name, value]): [string, Value] => [
    name,
    typeof value === 'bigint' ? String(value) : (value as Value),
  ]);
  const reply: any = await host[language]('VM.create', root, new Map(wire));
  if (reply.error !== undefined) throw new Error(reply.error.join(' '));
  return reply.value;
};

for (const language of ['xml', 'json'] as const) {
  for (const nobody of ['', nullRef]) {
    test(`over ${language}, '${nobody}' is no object in constructors, setters and other messages`, async () => {
      const vm = await created(language, { affinity: nobody, suspend_SR: nobody });
      const record = async () => (await host[language]('VM.get_record', root, vm)) as { value: Value };
      expect(at((await record()).value, 'affinity')).toBe(nullRef);
      await host[language]('VM.set_affinity', root, vm, 'OpaqueRef:host');
      await host[language]('VM.set_affinity', root, vm, nobody);
      expect(at((await record()).value, 'affinity')).toBe(nullRef);
      expect(at((await record()).value, 'suspend_SR')).toBe(nullRef);
      const copy: any = await host[language]('VM.copy', root, vm, 'copy', nobody);
      expect(copy.value).toMatch(/^OpaqueRef:/);
    });
  }
}

test('the object that a message is for is answered as the client named it', async () => {
  expect(await host.json('VM.get_record', root, '')).toEqual({ error: ['HANDLE_INVALID', 'VM', ''] });
  expect(await host.json('VM.copy', root, '', 'copy', '')).toEqual({ error: ['HANDLE_INVALID', 'VM', ''] });
});

// Goal: whatever a message answers can be written in both languages, is of the type that its declaration says, and is
// the same in both; no call makes an internal error.
// Method: every implemented message, on rows that are full and on rows that are empty, behind the real HTTP server.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { StorageError } from '../../src/drivers/storage/storage.ts';
import { coverageOf } from '../../src/edge/coverage.ts';
import type { AnyClass, ClassName } from '../../src/model/class.ts';
import { type WireMessage, wireFields } from '../../src/model/derive.ts';
import { nullRef, type Ref, record, type Type } from '../../src/model/types.ts';
import { faultCodes } from '../../src/std/fault-codes.ts';
import { own } from '../../src/std/own.ts';
import { isStruct, type Value } from '../../src/std/value.ts';
import type { AnyRecord } from '../../src/store/schema.ts';
import { fakeStorage } from '../actors/fake-storage.ts';
import { fakeHypervisor } from '../actors/vm-bench.ts';
import { machineFacts } from '../machine-facts.ts';
import { type EveryRow, everyRow, type RowOf, sendable } from './every-shape.ts';
import { at, type Reply, type Served, served } from './served.ts';

const languages = ['xml', 'json'] as const;
let host: Served;
let rows: EveryRow;
let root: Ref<'session'>;

/** What a fake does not have refuses, as a plugin does. */
const refusing = <T extends object>(fake: T): T =>
  new Proxy(fake, {
    has: () => true,
    get: (target, member) =>
      Reflect.get(target, member) ??
      (async () => {
        throw new StorageError('SR_BACKEND_FAILURE', ['not here', '', '']);
      }),
  });

beforeAll(async () => {
  host = await served({
    behaviours,
    services: { facts: async () => machineFacts() },
    hypervisor: fakeHypervisor(),
    storage: refusing(fakeStorage().storage),
    // Two answers about the time are the same.
    clock: { ...nodeClock, now: () => Date.UTC(2026, 1, 28) },
    waitMs: 20,
  });
  rows = everyRow(host.world);
  await rows.fill();
  root = await host.session();
});
afterAll(() => host.close());

/** What XML cannot carry is left out of its texts. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
const carried = (text: string): string => text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, '');

/** A value from the wire as its type reads it, so that both languages give the same. Throws where it is not of its type. */
const read = (type: Type<any>, value: Value, path: string): unknown => {
  if (type.kind === 'option') return read(type.item as Type<any>, value, path);
  if (type.kind === 'set') {
    if (!Array.isArray(value)) throw new Error(`${path} is no set`);
    return (value as readonly Value[]).map((one, i) => read(type.item as Type<any>, one, `${path}[${i}]`));
  }
  if (type.kind === 'map') {
    if (!isStruct(value)) throw new Error(`${path} is no map`);
    return new Map(
      [...value].map(([key, one]) => [
        carried(String((type.key as Type<any>).read(key, path))),
        read(type.item as Type<any>, one, `${path}:${key}`),
      ]),
    );
  }
  if (type.kind === 'record') return readRecord(type.of ?? '', value, path);
  if (type.kind === 'void' && value !== '') throw new Error(`${path} is not nothing`);
  const one = type.read(value, path);
  return typeof one === 'string' ? carried(one) : one;
};

const readRecord = (name: string, value: Value, path: string): unknown => {
  const cls = classes.find((one) => one.name === name);
  if (cls === undefined || !isStruct(value)) throw new Error(`${path} is no record of ${name}`);
  const fields = wireFields(cls);
  const more = [...value.keys()].filter((key) => !fields.some(([field]) => field === key));
  if (more.length > 0) throw new Error(`${path} has ${more}`);
  return Object.fromEntries(
    fields.flatMap(([field, { type }]) => {
      const member = value.get(field);
      if (member !== undefined) return [[field, read(type, member, `${path}.${field}`)]];
      if (type.kind === 'option') return [];
      throw new Error(`${path} has no ${field}`);
    }),
  );
};

/** The answer, or why it is not one of this message. */
const answered = async (
  language: 'xml' | 'json',
  { method, result }: WireMessage,
  args: readonly Value[],
): Promise<{ readonly value: unknown } | { readonly fault: string } | { readonly wrong: string }> => {
  try {
    const reply: Reply = await host[language](method, root, ...args);
    if ('value' in reply) return { value: read(result, reply.value, method) };
    const [code = ''] = reply.error;
    if (code === 'INTERNAL_ERROR' || own(faultCodes, code) === undefined) {
      return { wrong: reply.error.join(' ').slice(0, 300) };
    }
    return { fault: code };
  } catch (error) {
    return { wrong: String(error).slice(0, 300) };
  }
};

const implemented = (): readonly WireMessage[] =>
  host.world.catalog.messages.filter(
    (message) =>
      message.cls.name !== 'event' &&
      message.declared?.sessionless !== true &&
      message.declared?.poolInternal !== true &&
      ['handler', 'declaration'].includes(coverageOf(host.world.catalog, message)),
  );

const reads: ReadonlySet<string> = new Set([
  'getter',
  'get_record',
  'get_all',
  'get_all_records',
  'get_all_where',
  'get_all_records_where',
  'get_by_uuid',
  'get_by_name_label',
]);

const isRead = (message: WireMessage): boolean => {
  const handler = host.world.catalog.handler(message);
  return handler === undefined ? reads.has(message.kind) : 'read' in handler;
};

/** Texts that mean something to the message that takes them. */
const meant: Readonly<Record<string, Value>> = { expr: 'true', since: { dateTime: '19700101T00:00:00Z' } };

const argsOf = ({ cls, params, kind }: WireMessage, rowOf: RowOf, variant: number): readonly Value[] =>
  params.map(({ name, type }, i) => {
    if (kind === 'get_by_uuid') return rowNamed(cls.name, rowOf)['uuid'] as string;
    if (kind === 'get_by_name_label') return rowNamed(cls.name, rowOf)['name_label'] as string;
    return own(meant, name) ?? sendable(type, rowOf, variant + i, classes);
  });

const rowNamed = (cls: string, rowOf: RowOf): AnyRecord =>
  host.world.store.committed.require(cls as ClassName, rowOf(cls) as Ref<any>);

test('every message that reads answers the same in both languages, of the type that it declares', async () => {
  const wrong: string[] = [];
  const messages = implemented().filter(isRead);
  expect(messages.length).toBeGreaterThan(900);
  for (const message of messages) {
    for (const rowOf of [rows.rowOf, rows.emptyOf]) {
      const [xml, json] = await Promise.all(
        languages.map((language) => answered(language, message, argsOf(message, rowOf, 0))),
      );
      const note = (what: string): void => void wrong.push(`${message.method} ${what}`);
      for (const one of [xml, json]) if (one !== undefined && 'wrong' in one) note(one.wrong);
      if (reads.has(message.kind) && xml !== undefined && 'fault' in xml) note(xml.fault);
      try {
        expect(xml).toEqual(json);
      } catch {
        note('differs between the languages');
      }
    }
  }
  expect(wrong).toEqual([]);
}, 240_000);

/** What would end the walk, or the session that it is made with. */
const spared: ReadonlySet<string> = new Set([
  'session.logout',
  'session.local_logout',
  'session.change_password',
]);

test('no message that does something answers an internal error, or something that it does not declare', async () => {
  const wrong: string[] = [];
  let successes = 0;
  const [full, empty, none] = [rows.rowOf, rows.emptyOf, () => nullRef];
  const rowsInTurn = [full, full, full, empty, empty, none, none];
  const messages = implemented().filter((message) => !isRead(message) && !spared.has(message.method));
  expect(messages.length).toBeGreaterThan(450);
  for (const message of messages) {
    for (const [variant, rowOf] of rowsInTurn.entries()) {
      await rows.fill();
      const language = languages[variant % 2] as 'xml' | 'json';
      const answer = await answered(language, message, argsOf(message, rowOf, variant));
      if ('value' in answer) successes += 1;
      if ('wrong' in answer) wrong.push(`${message.method} (${variant}, ${language}) ${answer.wrong}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(successes).toBeGreaterThan(1_000);
  // The storage refuses what takes a step back as well.
  expect(host.takeErrors().filter(({ message }) => message !== 'A step could not be undone')).toEqual([]);
}, 240_000);

test('events carry whole rows of every class', async () => {
  await rows.fill();
  for (const language of languages) {
    const reply = await host[language]('event.from', root, ['*'], '', 1);
    if (!('value' in reply)) throw new Error(reply.error.join(' '));
    const events = at(reply.value, 'events') as readonly Value[];
    const told = new Set<string>();
    for (const event of events) {
      const cls = classes.find(({ name }) => name.toLowerCase() === at(event, 'class')) as AnyClass;
      told.add(cls.name);
      read(record(cls.name), at(event, 'snapshot'), cls.name);
    }
    const telling = classes.filter((cls) => cls.inDatabase !== false && cls.events !== false);
    expect(telling.map(({ name }) => name).filter((name) => !told.has(name))).toEqual([]);
  }
});

// Goal: records and results of a declared type are written exactly as the same values are without one.
// Method: generated records are written by their compiled encoder, and compared with the writer of
// plain values and with what the readers make of them.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readJson } from '../../src/codec/jsonrpc-reader.ts';
import { jsonValue } from '../../src/codec/jsonrpc-writer.ts';
import { recordEncoder as encoderOfFields, encodersOf } from '../../src/codec/typed.ts';
import { readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import { xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import { dyn, type Fields, rw } from '../../src/model/class.ts';
import * as t from '../../src/model/types.ts';
import type { Value } from '../../src/std/value.ts';
import { int64, text, value } from './values.ts';

const power = t.oneOf('power', ['Halted', 'Running']);
const fields: Fields = {
  uuid: dyn(t.string, ''),
  secret: dyn(t.string, '', { internal: true }),
  name_label: rw(t.string, ''),
  memory: rw(t.int, ''),
  load: dyn(t.float, ''),
  is_a_template: rw(t.bool, ''),
  start_time: dyn(t.datetime, ''),
  affinity: rw(t.ref('host'), ''),
  power_state: dyn(power, ''),
  VBDs: dyn(t.set(t.ref('VBD')), ''),
  other_config: rw(t.stringMap, ''),
  vcpus: dyn(t.map(t.int, t.float), ''),
  nested: dyn(t.map(power, t.set(t.map(t.string, t.int))), ''),
};

const floats = fc.double();
const map = <K, V>(key: fc.Arbitrary<K>, item: fc.Arbitrary<V>) =>
  fc.array(fc.tuple(key, item), { maxLength: 4 }).map((members) => new Map(members));
const records = fc.record({
  uuid: text,
  secret: text,
  name_label: text,
  memory: int64,
  load: floats,
  is_a_template: fc.boolean(),
  start_time: fc.constant(t.epoch),
  affinity: fc.constantFrom(t.nullRef as string, 'a "reference" <of a client>'),
  power_state: fc.constantFrom('Halted', 'Running'),
  VBDs: fc.array(fc.stringMatching(/^OpaqueRef:[a-z"<]{0,4}$/), { maxLength: 4 }),
  other_config: map(text, text),
  vcpus: map(int64, floats),
  nested: map(fc.constant('Halted'), fc.array(map(text, int64), { maxLength: 2 })),
});

/** The struct that a record is on the wire. */
const asValue = (record: Readonly<Record<string, unknown>>, date: (text: string) => Value): Value =>
  new Map(
    Object.entries(record)
      .filter(([name]) => name !== 'secret')
      .map(([name, item]): [string, Value] => {
        if (name === 'start_time') return [name, date(item as string)];
        if (name !== 'vcpus') return [name, item as Value];
        return [name, new Map([...(item as Map<bigint, number>)].map(([k, v]) => [String(k), v]))];
      }),
  );

const encoderOf = encodersOf([{ name: 'VM', fields }]);
const recordEncoder = (given: Fields) => encoderOfFields(given, encoderOf);
const encoder = recordEncoder(fields);

test('a record is written as the struct of its fields in the order of the class, internal ones left out', () => {
  fc.assert(
    fc.property(records, (record) => {
      expect(encoder.xml(record)).toBe(xmlValue(asValue(record, (dateTime) => ({ dateTime }))));
      expect(encoder.json(record)).toBe(jsonValue(asValue(record, (dateTime) => dateTime)));
    }),
  );
});

test('a written record is read back, and its types read the fields as they were', () => {
  fc.assert(
    fc.property(records, (record) => {
      const fromJson = readJson(encoder.json(record)) as ReadonlyMap<string, Value>;
      const fromXml = readXmlRpcValue(encoder.xml(record)) as ReadonlyMap<string, Value>;
      expect([...fromXml.keys()]).toEqual(Object.keys(fields).filter((name) => name !== 'secret'));
      for (const [name, { type }] of Object.entries(fields)) {
        if (name === 'secret') continue;
        const given = record[name as keyof typeof record];
        expect(type.read(fromJson.get(name)!, name)).toEqual(given);
        // Floats have sixteen digits in XML.
        if (name !== 'load' && name !== 'vcpus') expect(type.read(fromXml.get(name)!, name)).toEqual(given);
      }
    }),
  );
});

test('a record that is a value already is written as that value, and nothing as the empty string', () => {
  const whole = encoderOf(t.record('VM'));
  fc.assert(
    fc.property(map(text, value), (given) => {
      expect(whole.xml(given)).toBe(xmlValue(given));
      expect(whole.json(given)).toBe(jsonValue(given));
    }),
  );
  expect(encoderOf(t.nothing).xml()).toBe('<value></value>');
  expect(encoderOf(t.nothing).json()).toBe('""');
});

test('a record that is a row is written as its class says, alone and inside maps and sets', () => {
  const [one, many, some] = [t.record('VM'), t.map(t.ref('VM'), t.record('VM')), t.set(t.record('VM'))];
  fc.assert(
    fc.property(records, (record) => {
      for (const format of ['xml', 'json'] as const) {
        const alone = encoder[format](record);
        expect(encoderOf(one)[format](record as never)).toBe(alone);
        expect(encoderOf(some)[format]([record as never])).toContain(alone);
        expect(encoderOf(many)[format](new Map([['OpaqueRef:a', record as never]]) as never)).toContain(
          alone,
        );
      }
    }),
  );
  expect(() => encoderOf(t.record('nothing')).xml({} as never)).toThrow('There is no class nothing');
});

test('an encoder is made once for each type', () => {
  const type = t.set(t.int);
  expect(encoderOf(type)).toBe(encoderOf(type));
  expect(encoderOf(type).xml([1n, -2n])).toBe(
    '<value><array><data><value>1</value><value>-2</value></data></array></value>',
  );
  expect(encoderOf(type).json([])).toBe('[]');
});

test('an option that is undefined is left out of its record, wherever it stands', () => {
  const sparse = recordEncoder({
    first: dyn(t.option(t.string), ''),
    size: dyn(t.int, ''),
    last: dyn(t.option(t.record('VM')), ''),
  });
  const written = (record: Record<string, unknown>) => [sparse.xml(record), sparse.json(record)];
  expect(written({ size: 1n })).toEqual([
    '<value><struct><member><name>size</name><value>1</value></member></struct></value>',
    '{"size":1}',
  ]);
  expect(sparse.json({ first: 'a', size: 1n, last: new Map([['k', 'v']]) })).toBe(
    '{"first":"a","size":1,"last":{"k":"v"}}',
  );
});

test('names of fields and keys are escaped, and a class without fields is an empty struct', () => {
  const odd = recordEncoder({ 'a<"b"': rw(t.stringMap, '') });
  const record = { 'a<"b"': new Map([['<k>"', '']]) };
  expect(readXmlRpcValue(odd.xml(record))).toEqual(new Map(Object.entries(record)));
  expect(readJson(odd.json(record))).toEqual(new Map(Object.entries(record)));
  expect([recordEncoder({}).xml({}), recordEncoder({}).json({})]).toEqual([
    '<value><struct></struct></value>',
    '{}',
  ]);
});

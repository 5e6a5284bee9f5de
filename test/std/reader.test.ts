// Goal: values from outside are read by one reader, whichever flavour they come in, and what is wrong is named.
// Method: each function is given struct and object, both flavours of integers and what it must refuse.
import { expect, test } from 'vitest';
import { readJson } from '../../src/codec/jsonrpc-reader.ts';
import { readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import { xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import * as read from '../../src/std/reader.ts';

const state = '{"id":"12","ctime":1700000000.25,"domid":4294967296,"Active":true,"delay":60,"ids":[7,[1,2]]}';
const fromJson = readJson(state);
const flavours: [string, unknown][] = [
  ['JSON', fromJson],
  ['plain JSON', JSON.parse(state)],
  ['XML', readXmlRpcValue(xmlValue(fromJson))],
];

test.each(flavours)('members of a struct in %s are read by their type', (_, struct) => {
  expect(read.stringOf(read.member(struct, 'id'))).toBe('12');
  expect(read.countOf(read.intOf(String(read.member(struct, 'domid'))))).toBe(4294967296);
  expect(read.floatOf(read.member(struct, 'ctime'))).toBe(1700000000.25);
  expect(read.floatOf(read.member(struct, 'delay'))).toBe(60);
  expect(read.boolOf(read.member(struct, 'Active'))).toBe(true);
  const [first, second] = read.tupleOf(read.member(struct, 'ids'), 2);
  expect(String(first)).toBe('7');
  expect(read.itemsOf(second, (item) => String(item))).toEqual(['1', '2']);
});

test('the case of member names does not count, but the exact name comes first', () => {
  expect(read.member(fromJson, 'active')).toBe(true);
  expect(read.member(readJson('{"NAME":1,"name":2,"Name":3}'), 'name')).toBe(2n);
  expect(read.optionalMember(fromJson, 'nothing')).toBeUndefined();
});

test('texts, counts and choices have bounds', () => {
  expect(read.countOf(7)).toBe(7);
  expect(read.countOf(7n)).toBe(7);
  expect(read.naturalOf('12')).toBe(12n);
  expect(read.oneOf('on', ['on', 'off'])).toBe('on');
  expect(read.textsOf({ a: 'b' })).toEqual(new Map([['a', 'b']]));
  expect(read.knownStructOf({ a: 1 }, ['a', 'b'])).toEqual(new Map([['a', 1]]));
  expect(read.optional({ a: 'b' }, 'a', read.stringOf)).toBe('b');
  expect(read.optional({ a: 'b' }, 'c', read.stringOf)).toBeUndefined();
  expect(read.required({ a: 'b' }, 'a', read.stringOf)).toBe('b');
  expect(read.jsonOf('[1]')).toEqual([1]);
});

test('a key that means something to JavaScript is a name like any other', () => {
  const hostile = read.jsonOf('{"__proto__": {"x": "1"}, "constructor": "c"}');
  expect([...read.structOf(hostile).keys()]).toEqual(['__proto__', 'constructor']);
  expect(read.optionalMember({}, 'constructor')).toBeUndefined();
});

test.each<[() => unknown, string]>([
  [() => read.member(fromJson, 'uuid'), 'Expected a member "uuid"'],
  [() => read.member('x', 'uuid'), 'Expected what holds "uuid" to be a struct, got "x"'],
  [() => read.stringOf(1n, 'id'), 'Expected id to be a string, got 1'],
  [() => read.intOf(1, 'domid'), 'Expected domid to be an integer, got 1'],
  [() => read.intOf('1.5', 'domid'), 'Expected domid to be an integer, got "1.5"'],
  [() => read.intOf('9223372036854775808'), 'Expected the value to be an integer, got "9223372036854775808"'],
  [() => read.floatOf('', 'delay'), 'Expected delay to be a number, got ""'],
  [() => read.boolOf('true', 'force'), 'Expected force to be a boolean, got "true"'],
  [() => read.listOf(fromJson), 'Expected the value to be a list, got a struct'],
  [() => read.tupleOf([1n], 2), 'Expected the value to be a list of 2, got a list of 1'],
  [() => read.structOf(null), 'Expected the value to be a struct, got null'],
  [() => read.structOf({ dateTime: 'x' }), 'Expected the value to be a struct, got a date'],
  [() => read.structOf(new Uint8Array()), 'Expected the value to be a struct, got bytes'],
  [() => read.stringOf('abc', 'name', 2), 'Expected name to have at most 2 characters'],
  [() => read.countOf(-1, 'port'), 'Expected port to be a whole number from 0, got -1'],
  [() => read.countOf(1.5, 'port', 9), 'Expected port to be a whole number from 0 to 9, got 1.5'],
  [() => read.countOf('1', 'port'), 'Expected port to be a whole number from 0, got "1"'],
  [() => read.naturalOf(-1n, 'size'), 'Expected size not to be negative, got -1'],
  [() => read.oneOf('x', ['on', 'off'], 'state'), 'Expected state to be one of on, off, got "x"'],
  [() => read.itemsOf([1n], read.stringOf, 'tags'), 'Expected tags[0] to be a string, got 1'],
  [() => read.itemsOf([1n, 2n], read.intOf, 'tags', 1), 'Expected at most 1 tags, got 2'],
  [() => read.textsOf({ a: 1 }, 'keys'), 'Expected keys.a to be a string, got 1'],
  [() => read.textsOf({ a: 'b' }, 'keys', 0), 'Expected keys to have at most 0 members'],
  [() => read.knownStructOf({ c: 1 }, ['a'], 'the file'), 'Expected of the file only a, got "c"'],
])('a wrong value is named, case %#', (reading, message) => {
  expect(reading).toThrow(new DecodeFailure(message));
});

// Goal: daemons of the Xen world are understood whichever flavour of rpclib they speak.
// Method: each reader is given both flavours and what it must refuse, and the errors are looked at.

import { expect, test } from 'vitest';
import { readJson } from '../../src/codec/jsonrpc-reader.ts';
import { jsonValue } from '../../src/codec/jsonrpc-writer.ts';
import { DecodeFailure } from '../../src/codec/limits.ts';
import * as rpc from '../../src/codec/rpclib.ts';
import { readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import { xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import type { Value } from '../../src/std/value.ts';

const state = '{"id":"12","ctime":1700000000.25,"domid":4294967296,"Active":true,"delay":60,"ids":[7,[1,2]]}';
const fromJson = readJson(state);
const flavours: [string, Value][] = [
  ['JSON', fromJson],
  ['XML', readXmlRpcValue(xmlValue(fromJson))],
];

test.each(flavours)('members of a struct in %s are read by their type', (_, struct) => {
  expect(rpc.stringOf(rpc.member(struct, 'id'))).toBe('12');
  expect(rpc.intOf(rpc.member(struct, 'domid'))).toBe(4294967296n);
  expect(rpc.floatOf(rpc.member(struct, 'ctime'))).toBe(1700000000.25);
  expect(rpc.floatOf(rpc.member(struct, 'delay'))).toBe(60);
  expect(rpc.boolOf(rpc.member(struct, 'Active'))).toBe(true);
  const [first, second] = rpc.tupleOf(rpc.member(struct, 'ids'), 2);
  expect(rpc.intOf(first!)).toBe(7n);
  expect(rpc.listOf(second!).map((item) => rpc.intOf(item))).toEqual([1n, 2n]);
});

test('the case of member names does not count, but the exact name comes first', () => {
  expect(rpc.member(fromJson, 'active')).toBe(true);
  expect(rpc.member(readJson('{"NAME":1,"name":2,"Name":3}'), 'name')).toBe(2n);
  expect(rpc.optionalMember(fromJson, 'nothing')).toBeUndefined();
});

test('a variant is its name, alone or with what it carries', () => {
  expect(rpc.variantOf('Reboot')).toEqual({ tag: 'Reboot', payload: undefined });
  expect(rpc.variantOf(readJson('["Bad_power_state",["Running","Halted"]]'))).toEqual({
    tag: 'Bad_power_state',
    payload: ['Running', 'Halted'],
  });
  expect(jsonValue([rpc.variant('Start'), rpc.variant('Task', '12')])).toBe('["Start",["Task","12"]]');
  for (const wrong of ['[]', '[1,2]', '["A",1,2]', '{}', 'null']) {
    expect(() => rpc.variantOf(readJson(wrong))).toThrow(DecodeFailure);
  }
});

test('an option is a list of one or none', () => {
  expect([rpc.optionOf([]), rpc.optionOf(['x'])]).toEqual([undefined, 'x']);
  expect([rpc.option(undefined), rpc.option('x')]).toEqual([[], ['x']]);
  expect(() => rpc.optionOf(['x', 'y'])).toThrow('Expected the value to be an option, got a list of 2');
});

test('an error of the XenAPI is a code and strings', () => {
  expect(rpc.errorOf(['X', 'a'])).toEqual({ code: 'X', params: ['a'] });
  for (const wrong of [[], 'X', ['X', ['y']], null] satisfies Value[]) {
    expect(() => rpc.errorOf(wrong)).toThrow(DecodeFailure);
  }
});

test.each<[() => unknown, string]>([
  [() => rpc.member(fromJson, 'uuid'), 'Expected a member "uuid"'],
  [() => rpc.member('x', 'uuid'), 'Expected what holds "uuid" to be a struct, got "x"'],
  [() => rpc.stringOf(1n, 'id'), 'Expected id to be a string, got 1'],
  [() => rpc.intOf(1, 'domid'), 'Expected domid to be an integer, got 1'],
  [() => rpc.intOf('1.5', 'domid'), 'Expected domid to be an integer, got "1.5"'],
  [() => rpc.intOf('9223372036854775808'), 'Expected the value to be an integer, got "9223372036854775808"'],
  [() => rpc.floatOf('', 'delay'), 'Expected delay to be a number, got ""'],
  [() => rpc.boolOf('true', 'force'), 'Expected force to be a boolean, got "true"'],
  [() => rpc.listOf(fromJson), 'Expected the value to be a list, got a struct'],
  [() => rpc.tupleOf([1n], 2), 'Expected the value to be a list of 2, got a list of 1'],
  [() => rpc.structOf(null), 'Expected the value to be a struct, got null'],
  [() => rpc.structOf({ dateTime: 'x' }), 'Expected the value to be a struct, got a date'],
  [() => rpc.structOf(new Uint8Array()), 'Expected the value to be a struct, got bytes'],
])('a wrong value is named, case %#', (read, message) => {
  expect(read).toThrow(new DecodeFailure(message));
});

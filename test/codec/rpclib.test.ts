// Goal: daemons of the Xen world are understood: variants, options and errors as rpclib spells them.
// Method: each reader is given what daemons say and what it must refuse, and the errors are looked at.

import { expect, test } from 'vitest';
import { readJson } from '../../src/codec/jsonrpc-reader.ts';
import { jsonValue } from '../../src/codec/jsonrpc-writer.ts';
import * as rpc from '../../src/codec/rpclib.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import type { Value } from '../../src/std/value.ts';

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

// Goal: JSON-RPC of both versions is read strictly and exactly, integers of 64 bits included.
// Method: round trips of generated values, comparison with the JSON of the platform where the two
// must agree, single texts for each rule, and what must be refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJson, readJsonRpcCall, readJsonRpcResponse } from '../../src/codec/jsonrpc-reader.ts';
import {
  jsonCall,
  jsonFailure,
  jsonFailureValue,
  jsonFloat,
  jsonString,
  jsonSuccess,
  jsonSuccessParts,
  jsonValue,
} from '../../src/codec/jsonrpc-writer.ts';
import { decodeLimits } from '../../src/codec/limits.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import { isDateTime, type Value } from '../../src/std/value.ts';
import { anyText } from '../any-text.ts';
import { int64, mapLeaves, value } from './values.ts';

/** JSON has neither dates nor bytes. */
const afterJson = (given: Value): Value =>
  mapLeaves((leaf) => {
    if (leaf instanceof Uint8Array) return Buffer.from(leaf).toString('base64');
    return isDateTime(leaf) ? leaf.dateTime : leaf;
  }, given);

describe('values', () => {
  test('every value comes back from its JSON, floats and integers apart from each other and exact', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(readJson(jsonValue(given))).toEqual(afterJson(given));
      }),
    );
  });

  test('what the platform writes is read as the same, integers as bigint', () => {
    const structs = (given: unknown): Value => {
      if (typeof given === 'number') return Number.isInteger(given) ? BigInt(given) : given;
      if (Array.isArray(given)) return given.map(structs);
      if (typeof given !== 'object' || given === null) return given as Value;
      return new Map(Object.entries(given).map(([key, item]) => [key, structs(item)]));
    };
    const anything = fc.jsonValue({ stringUnit: 'grapheme', maxDepth: 6 });
    // The platform writes floats beyond 2^53 as integers, which then may be beyond int64.
    const small = (given: unknown) => !/\d{16}|e\+/.test(JSON.stringify(given));
    fc.assert(
      fc.property(anything.filter(small), (given) => {
        expect(readJson(JSON.stringify(given, null, ' '))).toEqual(
          structs(JSON.parse(JSON.stringify(given))),
        );
      }),
    );
  });

  test('every string is written so that the platform reads it, less half surrogate pairs', () => {
    fc.assert(
      fc.property(anyText, (given) => {
        expect(JSON.parse(jsonString(given))).toBe(given);
      }),
    );
    expect(jsonString('a\ud800b\udc00')).toBe('"ab"');
    expect(jsonString('a"\\\n\u0001')).toBe('"a\\"\\\\\\n\\u0001"');
  });

  test('every int64 is a bare number', () => {
    fc.assert(
      fc.property(int64, (given) => {
        expect(jsonValue(given)).toBe(String(given));
        expect(readJson(String(given))).toBe(given);
      }),
    );
  });

  test.each([
    [1, '1.0'],
    [-0, '-0.0'],
    [0.1, '0.1'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e15, '1000000000000000.0'],
    [1e21, '1e+21'],
    [1e-7, '1e-07'],
    [Number.NaN, 'NaN'],
    [Infinity, 'Infinity'],
    [-Infinity, '-Infinity'],
  ])('the float %d is written %s', (float, written) => {
    expect(jsonFloat(float)).toBe(written);
    expect(readJson(written)).toBe(float);
  });

  test('a number with a fraction or an exponent is a float, and any other an int64', () => {
    expect(readJson('[1, 1.0, 1e3, -0, 1E-2]')).toEqual([1n, 1, 1000, 0n, 0.01]);
    expect(readJson('-9223372036854775808')).toBe(-(2n ** 63n));
    for (const text of ['9223372036854775808', '-9223372036854775809', '1'.repeat(10_000)]) {
      expect(() => readJson(text)).toThrow(/64 bits/);
    }
  });

  test('escapes are resolved, surrogate pairs only whole', () => {
    expect(readJson('"\\u0041\\/\\b\\f\\n\\r\\t\\"\\\\\\ud83d\\uDE00😀"')).toBe('A/\b\f\n\r\t"\\😀😀');
    for (const text of [
      '"\\ud83d"',
      '"\\ud83dx"',
      '"\\ud83d\\n"',
      '"\\ude00"',
      '"\\ud83d\\u0041"',
      '"\ud83d"',
    ]) {
      expect(() => readJson(text)).toThrow(/surrogate pair/);
    }
  });

  test('of a repeated key the last value counts, and __proto__ is a key like any other', () => {
    expect(readJson('{"a":1,"__proto__":{"x":2},"a":3}')).toEqual(
      new Map<string, Value>([
        ['a', 3n],
        ['__proto__', new Map([['x', 2n]])],
      ]),
    );
  });

  test.each([
    ['', 'a value'],
    ['  ', 'a value'],
    ['1 2', 'the end of the text'],
    ['[1,]', 'a value'],
    ['[1 2]', ', or ]'],
    ['[', 'a value'],
    ['{"a" 1}', ':'],
    ['{"a":1,}', 'a key'],
    ['{a:1}', 'a key'],
    ["'a'", 'a value'],
    ['"a', 'the end of the string'],
    ['"a\nb"', 'an escape'],
    ['"\\x41"', 'an escape'],
    ['"\\u00g1"', 'four hexadecimal digits'],
    ['01', 'the end of the text'],
    ['+1', 'a value'],
    ['.5', 'a value'],
    ['1.', 'the end of the text'],
    ['-', 'a value'],
    ['-NaN', 'a value'],
    ['tru', 'a value'],
    ['nullx', 'the end of the text'],
    ['// a\n1', 'a value'],
    ['\u00a01', 'a value'],
  ])('%j is refused: expected %s', (text, expected) => {
    expect(() => readJson(text)).toThrow(DecodeFailure);
    expect(() => readJson(text)).toThrow(expected);
    expect(() => readJson(text)).toThrow(/ at offset \d+$/);
  });

  test('limits hold: exactly as much is read, one more is refused', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(readJson(nested(64))).toBeInstanceOf(Array);
    expect(() => readJson(nested(65))).toThrow(/at most 64/);
    expect(() => readJson('{"a":'.repeat(65))).toThrow(/at most 64/);
    expect(readJson('[1,2]', { ...decodeLimits, itemsMax: 3 })).toEqual([1n, 2n]);
    expect(() => readJson('[1,2]', { ...decodeLimits, itemsMax: 2 })).toThrow(/at most 2 values/);
    expect(readJson('[1]', { ...decodeLimits, textMax: 3 })).toEqual([1n]);
    expect(() => readJson('[1]', { ...decodeLimits, textMax: 2 })).toThrow(/at most 2 characters/);
  });
});

describe('calls', () => {
  test('what jsonCall writes is a call of version 1', () => {
    const text = jsonCall('VM.start', [new Map<string, Value>([['id', 'x']]), 2n], 7n);
    expect(text).toBe('{"method":"VM.start","params":[{"id":"x"},2],"id":7}');
    expect(readJsonRpcCall(text)).toEqual({
      version: 1,
      id: 7n,
      method: 'VM.start',
      params: [new Map([['id', 'x']]), 2n],
    });
  });

  test('version 2 may leave params out or give null', () => {
    expect(readJsonRpcCall('{"jsonrpc":"2.0","method":"m","id":1,"params":null}').params).toEqual([]);
    expect(readJsonRpcCall('{"jsonrpc":"2.0","method":"m","id":"1"}').params).toEqual([]);
  });

  test.each([
    ['"x"', 'one object'],
    ['[]', 'one object'],
    ['{"method":1,"params":[],"id":1}', '"method"'],
    ['{"params":[],"id":1}', '"method"'],
    ['{"method":"m","params":[],"id":true}', '"id"'],
    ['{"method":"m","params":{},"id":1}', '"params"'],
    ['{"method":"m","params":null,"id":1}', '"params"'],
    ['{"jsonrpc":"2.0","method":"m","params":"x","id":1}', '"params"'],
    ['{"jsonrpc":2.0,"method":"m","params":[],"id":1}', '"jsonrpc"'],
  ])('%s is no call: %s is named', (text, named) => {
    expect(() => readJsonRpcCall(text)).toThrow(DecodeFailure);
    expect(() => readJsonRpcCall(text)).toThrow(named);
  });
});

describe('responses', () => {
  test('a success of either version is its value, and can be sent in parts', () => {
    for (const version of [1, 2] as const) {
      const text = jsonSuccess(version, 'a"b', '[1,null]');
      expect(readJsonRpcResponse(text)).toEqual({ kind: 'success', id: 'a"b', value: [1n, null] });
      expect(jsonSuccessParts(version, 'a"b').join('[1,null]')).toBe(text);
    }
  });

  test('a failure of either version is its code and parameters in one list', () => {
    for (const version of [1, 2] as const) {
      const text = jsonFailure(version, 7n, 'SESSION_INVALID', ['x']);
      expect(readJsonRpcResponse(text)).toEqual({ kind: 'failure', id: 7n, error: ['SESSION_INVALID', 'x'] });
    }
  });

  test('an error of version 1 can be any value', () => {
    const error = ['Does_not_exist', ['VM', 'x']];
    expect(readJsonRpcResponse(jsonFailureValue(1n, error))).toEqual({ kind: 'failure', id: 1n, error });
  });

  test('an error of version 2 may have no data, other data, or be a list as in version 1', () => {
    const failed = (error: string) => readJsonRpcResponse(`{"jsonrpc":"2.0","id":null,"error":${error}}`);
    expect(failed('{"code":-32700,"message":"Parse error"}')).toMatchObject({ error: ['Parse error'] });
    expect(failed('{"code":1,"message":"X","data":"y"}')).toMatchObject({ error: ['X', 'y'] });
    expect(failed('["HOST_STILL_BOOTING"]')).toMatchObject({ error: ['HOST_STILL_BOOTING'], id: null });
  });

  test.each([
    ['{"result":1,"id":1}', 'both'],
    ['{"error":null,"id":1}', 'both'],
    ['{"jsonrpc":"2.0","id":1}', '"result"'],
    ['{"result":1,"error":null}', '"id"'],
    ['[1]', 'one object'],
  ])('%s is no response: %s is named', (text, named) => {
    expect(() => readJsonRpcResponse(text)).toThrow(DecodeFailure);
    expect(() => readJsonRpcResponse(text)).toThrow(named);
  });
});

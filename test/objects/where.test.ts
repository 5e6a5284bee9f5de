// Goal: the expressions of get_all_records_where mean what XenAPI clients expect, and bad ones are refused with a reason.
// Method: expressions, limits and hostile input are tried by hand and at random.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWhere, whereDepthMax, whereLengthMax, whereTermsMax } from '../../src/objects/where.ts';
import { Fault } from '../../src/std/fault.ts';

const faultOf = (expr: string): Fault => {
  try {
    parseWhere(expr);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`${expr} was taken`);
};

test('words may be glued together, as storage drivers send them', () => {
  const where = parseWhere('field "SR" = "x" andfield "host" = "y"');
  expect(where({ SR: 'x', host: 'y' })).toBe(true);
  expect(where({ SR: 'x', host: 'z' })).toBe(false);
  expect(parseWhere('nottrue')({})).toBe(false);
});

test('not binds closer than and, and and binds no closer than or', () => {
  expect(parseWhere('not false and false')({})).toBe(false);
  expect(parseWhere('true or true and false')({})).toBe(false);
  expect(parseWhere('true or (true and false)')({})).toBe(true);
});

test('booleans, integers, floats, sets and maps are compared by their text', () => {
  const record = {
    is_control_domain: true,
    size: 9007199254740993n,
    progress: 0.5,
    VBDs: [],
    tags: ['a', "b'c"],
    other_config: new Map([['k', 'v']]),
  };
  const passing = [
    'field "is_control_domain"="true"',
    'field "size"="9007199254740993"',
    'field "progress"="0.5"',
    'field "VBDs"="()"',
    `field "tags"="('a' 'b\\'c')"`,
    `field "other_config"="(('k' 'v'))"`,
  ];
  for (const expr of passing) expect([expr, parseWhere(expr)(record)]).toEqual([expr, true]);
});

test('a field may be named by its database column', () => {
  expect(parseWhere('field "name__label" = "a"')({ name_label: 'a' })).toBe(true);
});

test('a field that no record has is refused by name, also one that every object inherits', () => {
  for (const name of ['nope', 'constructor', '__proto__']) {
    expect(() => parseWhere(`field "${name}" = "a"`)({ name_label: 'a' })).toThrow(
      `There is no field ${name}`,
    );
  }
});

test('a bad expression is INVALID_VALUE with the expression and a reason', () => {
  expect(faultOf('field "a" == "b"').params).toEqual(['field "a" == "b"', 'Expected a comparison, got =']);
  expect(faultOf('').params).toEqual(['', 'Expected a comparison, got the end']);
  expect(faultOf('(true').params[1]).toBe('Expected ), got the end');
  expect(faultOf('true true').params[1]).toBe('Expected "and", "or" or the end, got true');
  expect(faultOf('field a = "b"').params[1]).toMatch(/at offset 5$/);
});

test('however often a field is compared, a row writes it out once', () => {
  let written = 0;
  const items = ['a', 'b'];
  const record = {
    tags: new Proxy(items, {
      get: (of, key) => {
        if (key === 'map') written += 1;
        return Reflect.get(of, key);
      },
    }),
  };
  const terms = Array<string>(whereTermsMax).fill('field "tags" = "x"');
  expect(parseWhere(terms.join(' or '))(record)).toBe(false);
  expect(written).toBe(1);
});

test('nesting and length are limited, and a chain up to the limit is no deep recursion', () => {
  const nested = (depth: number): string => `${'('.repeat(depth)}true${')'.repeat(depth)}`;
  expect(parseWhere(nested(whereDepthMax))({})).toBe(true);
  expect(faultOf(nested(whereDepthMax + 1)).params[1]).toContain('at most 64');
  expect(faultOf('not '.repeat(10_000)).params[1]).toContain('at most 64');
  expect(faultOf(' '.repeat(whereLengthMax + 1)).params[1]).toContain('at most 65536 characters');
  const chain = (terms: number): string => Array<string>(terms).fill('true').join(' and ');
  expect(parseWhere(chain(whereTermsMax))({})).toBe(true);
  expect(faultOf(chain(whereTermsMax + 1)).params[1]).toContain('at most 1000');
});

test('random token soup either parses or is INVALID_VALUE', () => {
  const word = fc.constantFrom(
    'true',
    'false',
    'field',
    'and',
    'or',
    'not',
    '(',
    ')',
    '=',
    '"a"',
    '"b"',
    ' ',
    'x',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), (words) => {
      try {
        parseWhere(words.join(''))({ a: '1', b: '2' });
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_VALUE' });
      }
    }),
    { numRuns: 2_000 },
  );
});

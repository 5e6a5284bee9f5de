// Goal: the expressions of get_all_records_where mean what XenAPI clients expect, and bad ones are refused with a reason.
// Method: recorded parses of another server are compared by evaluating both over every row they can tell apart;
// limits and hostile expressions are tried by hand and at random.

import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseWhere, whereDepthMax, whereLengthMax, whereTermsMax } from '../../src/objects/where.ts';
import { Fault } from '../../src/std/fault.ts';

type Parsed = 'true' | 'false' | readonly [string, ...unknown[]];
type Row = Readonly<Record<string, string>>;
interface Case {
  readonly name: string;
  readonly when: { readonly expression: string };
  readonly then: { readonly parsed?: Parsed; readonly rejected?: boolean };
}

const path = new URL('../../../shared/conformance/get_all_records_where_expressions.json', import.meta.url);
const missing = !existsSync(path);
const cases: readonly Case[] = missing ? [] : JSON.parse(readFileSync(path, 'utf8')).cases;

const faultOf = (expr: string): Fault => {
  try {
    parseWhere(expr);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`${expr} was taken`);
};

/** Names of fields and the literals, as the recorded tree has them. */
const wordsOf = (tree: unknown, kind: 'field' | 'literal'): readonly string[] => {
  if (Array.isArray(tree)) return tree.flatMap((one) => wordsOf(one, kind));
  const word = typeof tree === 'object' && tree !== null ? (tree as Record<string, string>)[kind] : undefined;
  return word === undefined ? [] : [word];
};

const operandOf = (operand: { field?: string; literal?: string }, row: Row): string =>
  operand.field === undefined ? operand.literal! : row[operand.field]!;

const holds = (tree: Parsed, row: Row): boolean => {
  if (tree === 'true' || tree === 'false') return tree === 'true';
  const [word, a, b] = tree as [string, never, never];
  if (word === 'not') return !holds(a, row);
  if (word === 'eq') return operandOf(a, row) === operandOf(b, row);
  return word === 'and' ? holds(a, row) && holds(b, row) : holds(a, row) || holds(b, row);
};

/** Every row in which each field has one of the literals or something else. */
const rowsFor = (tree: Parsed): readonly Row[] =>
  wordsOf(tree, 'field').reduce<readonly Row[]>(
    (rows, field) =>
      [...wordsOf(tree, 'literal'), 'else'].flatMap((v) => rows.map((row) => ({ ...row, [field]: v }))),
    [{}],
  );

describe.skipIf(missing)('recorded expressions (skipped without ../shared/conformance)', () => {
  test.for(cases)('$name', ({ when, then }) => {
    if (then.parsed === undefined) {
      expect(faultOf(when.expression).code).toBe('INVALID_VALUE');
      return;
    }
    const where = parseWhere(when.expression);
    for (const row of rowsFor(then.parsed)) expect(where(row)).toBe(holds(then.parsed, row));
  });
});

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

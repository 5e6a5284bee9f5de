// Goal: every value has a limit, given or of its kind, and what a guest says is cut to it.
// Method: values around each limit are measured and fitted.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  collectionBytesMax,
  fitting,
  keyBytesMax,
  keysMax,
  limitOf,
  measured,
  membersMax,
  refBytesMax,
  textBytesMax,
} from '../../src/model/sizes.ts';
import { int, map, option, ref, set, string, stringMap, type Type, upTo } from '../../src/model/types.ts';

const x = (count: number): string => 'x'.repeat(count);
const mapOf = (count: number, value = ''): ReadonlyMap<string, string> =>
  new Map(Array.from({ length: count }, (_, i) => [`k${i}`, value]));

test.each<[string, Type<any>, unknown, unknown]>([
  ['a text', string, x(textBytesMax), x(textBytesMax + 1)],
  ['a text, in UTF-8', upTo(string, 4), 'éé', 'ééé'],
  ['a reference', ref('VM'), x(refBytesMax), x(refBytesMax + 1)],
  ['a text with a limit of its own', upTo(string, 3), 'abc', 'abcd'],
  ['an optional text', option(upTo(string, 3)), 'abc', 'abcd'],
  ['the members of a set', set(string), Array(membersMax).fill(''), Array(membersMax + 1).fill('')],
  ['a set in all', set(string), Array(10).fill(x(100_000)), Array(11).fill(x(100_000))],
  ['the keys of a map', stringMap, mapOf(keysMax), mapOf(keysMax + 1)],
  ['a key', stringMap, new Map([[x(keyBytesMax), '']]), new Map([[x(keyBytesMax + 1), '']])],
  ['a value of a map', stringMap, mapOf(1, x(textBytesMax)), mapOf(1, x(textBytesMax + 1))],
  ['a map in all', stringMap, mapOf(10, x(100_000)), mapOf(11, x(100_000))],
  ['a set in a map', map(ref('VM'), set(upTo(string, 1))), new Map([['r', ['a']]]), new Map([['r', ['ab']]])],
])('%s may be as large as its limit, and no larger', (_, type, most, more) => {
  expect(measured(type, most, 'f')).toBeGreaterThan(0);
  expect(() => measured(type, more, 'f')).toThrow(/^INVALID_VALUE\(f/);
});

test('what is of a fixed size counts all the same, so that many are not nothing', () => {
  expect(measured(set(int), Array(1_000).fill(0n), 'f')).toBeGreaterThanOrEqual(1_000);
  expect(measured(set(string), Array(1_000).fill(''), 'f')).toBeGreaterThanOrEqual(1_000);
});

test('what is fitted is within the limits, and what was within is left as it is', () => {
  const type = upTo(map(string, upTo(string, 20)), 200, 5);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }))),
      (pairs) => {
        const given = new Map(pairs);
        const fitted = fitting(type, given);
        measured(type, fitted, 'f');
        for (const [key, value] of fitted) expect(given.get(key)?.startsWith(value)).toBe(true);
        expect([...fitting(type, fitted)]).toEqual([...fitted]);
      },
    ),
  );
  expect(fitting(upTo(string, 4), 'aéé')).toBe('aé');
  expect([
    ...fitting(
      stringMap,
      new Map([
        [x(keyBytesMax + 1), ''],
        ['k', 'v'],
      ]),
    ),
  ]).toEqual([['k', 'v']]);
  expect(fitting(stringMap, mapOf(3, x(collectionBytesMax)))).toHaveProperty('size', 3);
});

test('a limit is told where it is not the one of its kind', () => {
  expect(limitOf(string)).toBe('');
  expect(limitOf(upTo(map(string, upTo(string, 5)), 10, 2))).toBe(
    'at most 2 entries, 10 bytes, 5 bytes each',
  );
});

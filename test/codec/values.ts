import fc from 'fast-check';
import type { Value } from '../../src/std/value.ts';

const key = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '', '<&>"', 'dateTime'),
);

/** Text that any encoding can carry. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    ']]>',
    '&amp;',
    '<![CDATA[x]]>',
    ' \t\n\r\r\n ',
    '\\u0041"\\',
    '\u007f\u0085\u2028\ufffd😀',
  ),
);

export const int64: fc.Arbitrary<bigint> = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

/** Values of every kind, inside one another up to a depth that every reader takes. */
export const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    int64,
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constant({ dateTime: '20260821T02:00:23Z' }),
    fc.uint8Array(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((members) => new Map(members)),
  ),
})).value;

/** `value` with every leaf changed as an encoding that lacks its type changes it. */
export const mapLeaves = (leaf: (value: Value) => Value, value: Value): Value => {
  if (value instanceof Map) return new Map([...value].map(([k, item]) => [k, mapLeaves(leaf, item)]));
  return Array.isArray(value) ? value.map((item) => mapLeaves(leaf, item)) : leaf(value);
};

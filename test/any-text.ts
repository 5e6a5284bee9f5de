import fc from 'fast-check';

/**
 * Texts of any characters, line ends and controls among them. The library's own (`unit: 'binary'`) makes a table of a
 * million characters first, which takes longer than the tests.
 */
export const anyText = fc.string({
  unit: fc
    .oneof(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0, max: 0x10ffff }))
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code)),
});

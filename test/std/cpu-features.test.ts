// Goal: nothing but words of CPUID is taken for what a processor can do.
// Method: texts that are almost such words.
import { expect, test } from 'vitest';
import { parseFeatures } from '../../src/std/cpu-features.ts';

test('A list of words has a limit and nothing else in it', () => {
  const words = (count: number): string => Array(count).fill('00000001').join('-');
  expect(parseFeatures(words(64))).toHaveLength(64);
  const bad = ['1', '00000001-', '00000001,kernel=x', '00000001 ', '0x000001', words(65)];
  for (const text of bad) expect(parseFeatures(text)).toBeUndefined();
});

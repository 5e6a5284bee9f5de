// Goal: types take what the XenAPI takes and refuse the rest.
// Method: values are read as they come off the wire.
import { expect, test } from 'vitest';
import { bondMode } from '../../actors/bond/class.ts';
import { confidential, oneOf, option, string } from '../../src/model/types.ts';

test('an enumeration is read whatever its case, an exact one only as it is spelled', () => {
  const vbdMode = oneOf('vbd_mode', ['RO', 'RW']);
  expect(vbdMode.read('ro', 'mode')).toBe('RO');
  expect(() => vbdMode.read('RX', 'mode')).toThrow('Unknown tag/contents');
  expect(bondMode.read('lacp', 'mode')).toBe('lacp');
  expect(() => bondMode.read('LACP', 'mode')).toThrow('Unknown tag/contents');
});

test('an option is read as what it is an option of, and is empty as nothing', () => {
  expect(option(string)).toMatchObject({ name: 'string option', empty: undefined });
  expect(option(string).read('a', 'uuid')).toBe('a');
  expect(() => option(string).read(1n, 'uuid')).toThrow('Expected string');
});

test('a confidential type is the same type, marked', () => {
  expect(confidential(string)).toEqual({ ...string, secret: true });
  expect('secret' in string).toBe(false);
});

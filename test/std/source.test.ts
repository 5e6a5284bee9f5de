// Goal: requests are counted by who can really send them from another address.
// Method: addresses of both families in their several spellings.
import { expect, test } from 'vitest';
import { sourceOf } from '../../src/std/source.ts';

test('an IPv4 address is a source, and so is a network of 64 bits', () => {
  expect(sourceOf('192.0.2.1')).toBe('192.0.2.1');
  expect(sourceOf('')).toBe('');
  const same = ['2001:db8::1', '2001:DB8:0:0:1:2:3:4', '2001:0db8:0000:0::', '2001:db8::%eth0'];
  expect(new Set(same.map(sourceOf))).toEqual(new Set(['2001:db8:0:0::/64']));
  expect(sourceOf('::1')).toBe('0:0:0:0::/64');
  expect(sourceOf('2001:db8:0:1::1')).not.toBe(sourceOf('2001:db8::1'));
});

// Goal: no text names a folder of the system, or of Xenact's own files, as a storage repository.
// Method: a table of paths, and random ones whose plain form is known.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { folderRefusal } from '../../src/std/repository-folder.ts';

const own = { data: '/var/lib/xenact', run: '/tmp/xenact-0123' };

describe('a folder of a repository', () => {
  it.each([
    '/srv/disks',
    '/srv//disks/',
    '/mnt/a b ✓',
    '/etcetera',
    '/procedures/x',
    '/var/lib/xenact-2',
    '/var/lib/xenact/sr',
    '/var/lib/xenact/sr-2',
    '/var/lib/xenact/iso/',
  ])('may be %j', (path) => {
    expect(folderRefusal(path, own)).toBeUndefined();
  });

  it.each([
    ['', /absolute path/],
    ['/', /below/],
    ['///', /below/],
    ['srv/disks', /absolute path/],
    ['~/disks', /absolute path/],
    ['file:///srv', /absolute path/],
    ['/srv/../etc', /without/],
    ['/srv/./x', /without/],
    ['/srv/..', /without/],
    ['/a\u0000b', /usable/],
    ['/a\nb', /usable/],
    [`/${'a'.repeat(3000)}`, /usable/],
    ['/var/lib/xenact', /own files/],
    ['/var/lib//xenact/', /own files/],
    ['/var/lib/xenact/store', /own files/],
    ['/var/lib/xenact/sr-', /own files/],
    ['/var/lib/xenact/sr-2/deeper', /own files/],
    ['/var/lib/xenact/isolated', /own files/],
    ['/tmp/xenact-0123/sm', /own files/],
  ])('may not be %j', (path, why) => {
    expect(folderRefusal(path, own)).toMatch(why);
  });

  it('is never in a folder of the system, however it is spelled', () => {
    const system = fc.constantFrom('proc', 'sys', 'dev', 'run', 'etc', 'boot');
    const slashes = fc.integer({ min: 1, max: 3 }).map((count) => '/'.repeat(count));
    const rest = fc.array(fc.stringMatching(/^[a-z.]{1,8}$/), { maxLength: 4 });
    fc.assert(
      fc.property(system, slashes, rest, (top, slash, parts) => {
        expect(folderRefusal(`${slash}${[top, ...parts].join(slash)}`, own)).toBeDefined();
      }),
    );
  });
});

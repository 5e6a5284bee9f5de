// Goal: what guests boot directly comes from the one folder of guest kernels, whatever a client names.
// Method: a folder with kernels, and beside it what must stay out of reach; names that lead out by steps,
//   links and file kinds are opened, and so is any text.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { guestKernelsIn, KernelRefused } from '../../src/drivers/guest-kernels.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { anyText } from '../any-text.ts';

let base: string;
let folder: string;
beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'xenact-kernels-')));
  folder = join(base, 'kernels');
  await mkdir(join(folder, 'debian'), { recursive: true });
  await writeFile(join(folder, 'vmlinuz'), 'kernel');
  await writeFile(join(folder, 'debian', 'initrd'), 'ramdisk');
  await writeFile(join(base, 'secret'), 'secret');
});
afterEach(() => rm(base, { recursive: true }));

const textOf = async (name: string): Promise<string> => {
  const file = await guestKernelsIn(nodeDisk, folder).open(name);
  const bytes = Buffer.alloc(Number(file.sizeBytes));
  await file.read(bytes, 0n);
  await file.close();
  return bytes.toString();
};

test('a kernel is named from the folder, or with the folder', async () => {
  expect(await textOf('vmlinuz')).toBe('kernel');
  expect(await textOf('debian/initrd')).toBe('ramdisk');
  expect(await textOf(join(folder, 'debian//initrd'))).toBe('ramdisk');
  expect(await guestKernelsIn(nodeDisk, `${folder}/`).find('debian//initrd')).toBe(
    join(folder, 'debian', 'initrd'),
  );
});

test('without a folder there is no kernel, and the refusal says what to set', async () => {
  const kernels = guestKernelsIn(nodeDisk, undefined);
  await expect(kernels.open('vmlinuz')).rejects.toThrow(/--guest-kernels/);
  await expect(kernels.find(join(folder, 'vmlinuz'))).rejects.toThrow(KernelRefused);
});

test('links, folders and what is no regular file are refused, also on the way', async () => {
  await symlink(join(base, 'secret'), join(folder, 'link'));
  await symlink('vmlinuz', join(folder, 'inner'));
  await symlink(base, join(folder, 'up'));
  await symlink('debian', join(folder, 'alias'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  for (const name of ['link', 'inner', 'up/secret', 'alias/initrd', 'fifo', 'debian', 'vmlinuz/x']) {
    await expect(textOf(name), name).rejects.toThrow(KernelRefused);
  }
});

test.each([
  '',
  '.',
  '..',
  '../secret',
  'debian/../vmlinuz',
  'debian/../../secret',
  '/proc/self/fd/0',
  '/etc/passwd',
  'vmlinuz\0',
  `${'a/'.repeat(5_000)}b`,
])('%j names nothing in the folder', async (name) => {
  await expect(textOf(name)).rejects.toThrow(KernelRefused);
  await expect(textOf(`${folder}/${name}`)).rejects.toThrow(KernelRefused);
});

test('a folder whose name only begins like this one is another', async () => {
  await mkdir(`${folder}-other`);
  await writeFile(`${folder}-other/vmlinuz`, 'other');
  await expect(textOf(`${folder}-other/vmlinuz`)).rejects.toThrow(KernelRefused);
});

test('no text reads anything but what lies in the folder', async () => {
  const part = fc.constantFrom(
    '..',
    '.',
    '',
    'kernels',
    'secret',
    'vmlinuz',
    'debian',
    'initrd',
    base,
    folder,
    '\0',
  );
  const name = fc.array(part, { maxLength: 6 }).map((parts) => parts.join('/'));
  await fc.assert(
    fc.asyncProperty(fc.oneof(name, anyText), async (text) => {
      const read = await textOf(text).catch((error: unknown) => {
        expect(error).toBeInstanceOf(KernelRefused);
        return 'refused';
      });
      expect(['kernel', 'ramdisk', 'refused']).toContain(read);
    }),
  );
});

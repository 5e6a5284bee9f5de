// Goal: files are read within limits, replaced as a whole, and opened for reading and writing at any place.
// Method: real files in a temporary folder.
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-disk-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

test('a text is read as UTF-8 up to exactly the limit', async () => {
  await writeFile(at('a'), 'é123');
  expect(await nodeDisk.readText(at('a'), 5)).toBe('é123');
  await expect(nodeDisk.readText(at('a'), 4)).rejects.toMatchObject({ code: 'EFBIG' });
});

test('an empty file and a file whose size is unknown can be read', async () => {
  await writeFile(at('empty'), '');
  expect(await nodeDisk.readText(at('empty'), 10)).toBe('');
  expect(await nodeDisk.readText('/proc/self/status', 1_000_000)).toContain('Name:');
});

test('errors are those of the system', async () => {
  await expect(nodeDisk.readText(at('none'), 10)).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(nodeDisk.readText(folder, 10)).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(nodeDisk.open(at('none'), 'write')).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(nodeDisk.remove(at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(nodeDisk.list(at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(nodeDisk.replaceText(at('none/file'), '')).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a replaced file has the new text and the mode given, whatever the mask, and leaves nothing behind', async () => {
  const mask = process.umask(0o077);
  try {
    await nodeDisk.replaceText(at('a'), 'first');
    expect((await stat(at('a'))).mode & 0o777).toBe(0o600);
    await nodeDisk.replaceText(at('a'), 'second', 0o644);
  } finally {
    process.umask(mask);
  }
  expect(await readFile(at('a'), 'utf8')).toBe('second');
  expect((await stat(at('a'))).mode & 0o777).toBe(0o644);
  expect(await readdir(folder)).toEqual(['a']);
});

test('a replacement that fails leaves the old one and no temporary file', async () => {
  await mkdir(at('a'));
  await writeFile(at('a/inside'), 'kept');
  await expect(nodeDisk.replaceText(at('a'), 'text')).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readdir(folder)).toEqual(['a']);
  expect(await readFile(at('a/inside'), 'utf8')).toBe('kept');
});

test('whoever reads while a file is replaced sees one of the texts whole', async () => {
  const texts = ['a', 'b'].map((letter) => letter.repeat(100_000));
  await nodeDisk.replaceText(at('a'), texts[0]!);
  const writing = (async () => {
    for (let round = 0; round < 20; round++) await nodeDisk.replaceText(at('a'), texts[round % 2]!);
  })();
  for (let round = 0; round < 50; round++) expect(texts).toContain(await nodeDisk.readText(at('a'), 100_000));
  await writing;
});

test('replacements at the same time do not mix', async () => {
  const texts = Array.from({ length: 10 }, (_, index) => String(index).repeat(10_000));
  await Promise.all(texts.map((text) => nodeDisk.replaceText(at('a'), text)));
  expect(texts).toContain(await readFile(at('a'), 'utf8'));
  expect(await readdir(folder)).toEqual(['a']);
});

test('a folder is listed with kinds', async () => {
  await nodeDisk.makeFolder(at('x/y'));
  await nodeDisk.makeFolder(at('x/y'));
  await writeFile(at('file'), '');
  await symlink(at('file'), at('link'));
  const found = [...(await nodeDisk.list(folder))].sort((a, b) => a.name.localeCompare(b.name));
  expect(found).toEqual([
    { name: 'file', kind: 'file' },
    { name: 'link', kind: 'other' },
    { name: 'x', kind: 'folder' },
  ]);
  await expect(nodeDisk.makeFolder(at('file'))).rejects.toMatchObject({ code: 'EEXIST' });
});

test('files and empty folders are removed, full folders are not, links are removed and not what they name', async () => {
  await mkdir(at('x/y'), { recursive: true });
  await expect(nodeDisk.remove(at('x'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  await symlink(at('x'), at('link'));
  await nodeDisk.remove(at('link'));
  await nodeDisk.remove(at('x/y'));
  await nodeDisk.remove(at('x'));
  expect(await readdir(folder)).toEqual([]);
});

test('what exists and what is executable is told', async () => {
  await writeFile(at('a'), '');
  expect(await nodeDisk.exists(at('a'))).toBe(true);
  expect(await nodeDisk.exists(at('b'))).toBe(false);
  expect(await nodeDisk.exists(at('a/b'))).toBe(false);
  expect(await nodeDisk.isExecutable(at('a'))).toBe(false);
  expect(await nodeDisk.isExecutable(at('b'))).toBe(false);
  expect(await nodeDisk.isExecutable(folder)).toBe(false);
  await chmod(at('a'), 0o755);
  expect(await nodeDisk.isExecutable(at('a'))).toBe(true);
});

test('the space of the file system is told', async () => {
  const { freeBytes, totalBytes } = await nodeDisk.space(folder);
  expect(freeBytes >= 0n && freeBytes <= totalBytes && totalBytes > 1_000_000n).toBe(true);
  await expect(nodeDisk.space(at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('an open file is read and written at any place, also beyond four gigabytes', async () => {
  await nodeDisk.replaceText(at('a'), '');
  await truncate(at('a'), 5_000_000_000);
  const file = await nodeDisk.open(at('a'), 'write');
  expect(file.sizeBytes).toBe(5_000_000_000n);
  await file.write(Buffer.from('hello'), 4_900_000_000n);
  await file.sync();
  const into = new Uint8Array(8);
  expect(await file.read(into, 4_899_999_999n)).toBe(8);
  expect(Buffer.from(into).toString('latin1')).toBe('\0hello\0\0');
  expect(await file.read(into, 4_999_999_995n)).toBe(5);
  expect(await file.read(into, 5_000_000_000n)).toBe(0);
  await expect(file.read(into, -1n)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(file.read(into, 2n ** 60n)).rejects.toMatchObject({ code: 'EINVAL' });
  await file.close();
});

test('an open file is cut and extended with zeros', async () => {
  await writeFile(at('a'), 'text');
  const file = await nodeDisk.open(at('a'), 'write');
  await file.truncate(2n);
  await file.truncate(4n);
  await file.close();
  expect(await readFile(at('a'), 'latin1')).toBe('te\0\0');
});

test('a file opened for reading cannot be written', async () => {
  await writeFile(at('a'), 'text');
  const file = await nodeDisk.open(at('a'), 'read');
  await expect(file.write(Buffer.from('x'), 0n)).rejects.toMatchObject({ code: 'EBADF' });
  await file.close();
});

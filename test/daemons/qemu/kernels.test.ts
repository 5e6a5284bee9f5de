// Goal: a guest boots a kernel of the host's folder of guest kernels, with its RAM disk and arguments, and
//   the daemon itself refuses every other file, whatever it was sent.
// Method: a kernel of a few instructions that prints its RAM disk on the serial port.
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GuestSpec } from '../../../src/daemons/xenopsd/backend.ts';
import { consoleAt, consolePath, noQemu, type TestHost, testHost, VM, vmOf, work } from './guests.ts';

const LOAD = 0x100000;
const HEADER_WORDS = 8;
const MULTIBOOT = 0x1badb002;
/** The addresses of the header count, as the file is no ELF. */
const ADDRESSES = 0x10000;

/** A multiboot kernel: the header, then what prints the first module byte by byte and halts. */
const printingKernel = (): Buffer => {
  const code = Buffer.from([
    ...[0x8b, 0x7b, 0x18], // mov edi, [ebx + 24]: the modules
    ...[0x8b, 0x37, 0x8b, 0x4f, 0x04], // mov esi, [edi]; mov ecx, [edi + 4]: from, to
    ...[0x66, 0xba, 0xf8, 0x03], // mov dx, 0x3f8
    ...[0x39, 0xce, 0x73, 0x04, 0xac, 0xee, 0xeb, 0xf8], // while (esi < ecx) out dx, [esi++]
    ...[0xf4, 0xeb, 0xfd], // for (;;) hlt
  ]);
  const header = Buffer.alloc(HEADER_WORDS * 4);
  const words = [
    MULTIBOOT,
    ADDRESSES,
    -(MULTIBOOT + ADDRESSES) >>> 0,
    LOAD,
    LOAD,
    0,
    0,
    LOAD + header.length,
  ];
  for (const [index, word] of words.entries()) header.writeUInt32LE(word, index * 4);
  return Buffer.concat([header, code], 4096);
};

describe.skipIf(noQemu)(
  `guest kernels under QEMU${noQemu ? ` (${noQemu})` : ''}`,
  { timeout: 60_000 },
  () => {
    let host: TestHost;
    let outside: string;
    beforeEach(async () => {
      host = await testHost('kernels');
      await mkdir(join(host.folder, 'kernels'));
      await writeFile(join(host.folder, 'kernels', 'k'), printingKernel());
      await writeFile(join(host.folder, 'kernels', 'r'), 'the RAM disk was read\n');
      outside = join(host.folder, 'outside');
      await writeFile(outside, printingKernel());
    });
    afterEach(() => host.close());

    const specOf = (kernel: string, ramdisk: string): GuestSpec => ({
      domid: 1,
      vm: vmOf({
        boot: { type: 'PVH', kernel: { how: 'Direct', kernel, cmdline: 'a,b -snapshot', ramdisk } },
      }),
      disks: [],
      vifs: [],
    });

    test('a kernel of the folder boots with its RAM disk, and no copy of them stays', async () => {
      const { backend } = await host.daemon();
      const guest = await backend.create(specOf(join(host.folder, 'kernels', 'k'), 'r'), work());
      const console = consoleAt(consolePath(guest));
      await backend.unpause(VM);
      await console.until('the RAM disk was read');
      console.end();
      const [name = ''] = await readdir(join(host.folder, 'state'));
      const left = await readdir(join(host.folder, 'state', name));
      expect(left).not.toContain('kernel');
      expect(left).not.toContain('ramdisk');
      await backend.destroy(VM);
    });

    test('a kernel or RAM disk that is elsewhere, or behind a link, is refused and leaves nothing', async () => {
      await symlink(outside, join(host.folder, 'kernels', 'link'));
      const { backend } = await host.daemon();
      const refused: readonly (readonly [string, string])[] = [
        [outside, 'r'],
        ['k', outside],
        ['k', 'link'],
        ['../outside', 'r'],
        ['k', '../outside'],
        ['k', '/proc/self/environ'],
        ['/proc/self/fd/1', 'r'],
        ['', 'r'],
      ];
      for (const [kernel, ramdisk] of refused) {
        await expect(backend.create(specOf(kernel, ramdisk), work())).rejects.toThrow(/guest kernels/);
      }
      expect(await host.emulators()).toEqual([]);
      expect(await readdir(join(host.folder, 'state'))).toEqual([]);
    });

    test('a folder that is gone refuses as well', async () => {
      await rm(join(host.folder, 'kernels'), { recursive: true });
      const { backend } = await host.daemon();
      await expect(backend.create(specOf('k', 'r'), work())).rejects.toThrow(/guest kernels/);
    });
  },
);

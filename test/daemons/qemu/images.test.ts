// Goal: what is under a disk changes while its guest runs and writes: another image on top, another one in its
//   place, a larger size; every byte that the guest wrote is where it must be, and nowhere else.
// Method: a boot sector of our own that fills a sector for each key, a real QEMU, images of qemu-img, and a daemon
//   that is closed and started again on the way.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GuestDisk, MirrorWork } from '../../../src/daemons/xenopsd/backend.ts';
import { consoleAt, consolePath, diskOf, noQemu, type TestHost, testHost, VM, vmOf, work } from './guests.ts';

const waiting = {
  line: 'Hello',
  ending: 'halt',
  waitForKey: 'serial',
  answers: 'letters',
  writes: 'sectors',
} as const;

const mirroring = (signal?: AbortSignal): MirrorWork => ({ ...work(signal), whole: async () => {} });

describe.skipIf(noQemu)(`images under disks${noQemu ? ` (${noQemu})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  let folder: string;
  beforeEach(async () => {
    host = await testHost();
    folder = join(await host.file('somewhere'), '..');
  });
  afterEach(() => host.close());

  const qemuImg = (...args: string[]): void => {
    execFileSync('qemu-img', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  const imageOf = (name: string, backing: readonly string[] = []): GuestDisk => ({
    ...diskOf(join(folder, name)),
    format: 'qcow2',
    backing: backing.map((one) => join(folder, one)),
  });
  /** The letters that an image has, whoever has it open. */
  const lettersIn = async (name: string): Promise<string> => {
    qemuImg('convert', '-U', '-f', 'qcow2', '-O', 'raw', name, 'seen.raw');
    const bytes = await readFile(join(folder, 'seen.raw'));
    return ['A', 'B', 'C', 'D', 'E']
      .filter((letter, at) => bytes.toString('latin1', 512 * (at + 1), 512 * (at + 2)) === letter.repeat(512))
      .join('');
  };

  /** A guest on `first.qcow2`, with its console. */
  const running = async () => {
    await host.bootable(waiting, 'boot.raw');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'boot.raw', 'first.qcow2');
    const { backend } = await host.daemon();
    const guest = await backend.create(host.spec([imageOf('first.qcow2')]), work());
    const console = await consoleAt(consolePath(guest));
    await backend.unpause(VM);
    await console.until('Hello');
    return { backend, console };
  };

  test('one goes on top, one comes in its place, and the guest writes on', async () => {
    const boot = await host.bootable(waiting, 'boot.raw');
    // Far from what the guest writes, so that it stays in the image that it is in.
    const far = Buffer.alloc(64 << 10, 'far');
    await writeFile(boot, Buffer.concat([(await readFile(boot)).subarray(0, (1 << 20) - far.length), far]));
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'boot.raw', 'first.qcow2');
    const first = await host.daemon();
    const guest = await first.backend.create(host.spec([imageOf('first.qcow2')]), work());
    const console = await consoleAt(consolePath(guest));
    await first.backend.unpause(VM);
    await console.until('Hello');
    console.send('x');
    await console.until('A');

    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-F', 'qcow2', '-b', 'first.qcow2', 'top.qcow2', '1M');
    await first.backend.overlayVbd(VM, imageOf('top.qcow2', ['first.qcow2']));
    console.send('x');
    await console.until('B');
    expect([await lettersIn('first.qcow2'), await lettersIn('top.qcow2')]).toEqual(['A', 'AB']);

    const second = await host.daemon([vmOf()]);
    qemuImg('create', '-q', '-f', 'qcow2', 'other.qcow2', '1M');
    const told: number[] = [];
    const progress = (done: number): void => void told.push(done);
    const from = imageOf('top.qcow2', ['first.qcow2']);
    await second.backend.mirrorVbd(VM, from, imageOf('other.qcow2'), { ...mirroring(), progress });
    const later = await consoleAt(consolePath(guest));
    later.send('x');
    await later.until('C');
    expect([await lettersIn('top.qcow2'), await lettersIn('other.qcow2')]).toEqual(['AB', 'ABC']);
    const seen = await readFile(join(folder, 'seen.raw'));
    expect(seen.subarray(-far.length).equals(far)).toBe(true);
    expect((await host.openFiles()).filter((path) => /first|top/.test(path))).toEqual([]);

    await second.backend.growVbd(VM, [VM, 'xvda'], 2n << 20n);
    qemuImg('create', '-q', '-f', 'qcow2', '-u', '-F', 'qcow2', '-b', 'other.qcow2', 'last.qcow2', '2M');
    await second.backend.overlayVbd(VM, imageOf('last.qcow2', ['other.qcow2']));
    later.send('x');
    await later.until('D');
    await second.backend.destroy(VM);
    expect([await lettersIn('other.qcow2'), await lettersIn('last.qcow2')]).toEqual(['ABC', 'ABCD']);
  });

  test('those that were merged meanwhile are let go of when the next one goes on top', async () => {
    const { backend, console } = await running();
    const writes = async (letter: string): Promise<void> => {
      console.send('x');
      await console.until(letter);
    };
    const putOnTop = async (name: string, ...below: readonly string[]): Promise<void> => {
      const on = ['-u', '-F', 'qcow2', '-b', below[0] as string];
      qemuImg('create', '-q', '-f', 'qcow2', ...on, name, '1M');
      await backend.overlayVbd(VM, imageOf(name, below));
    };
    await writes('A');
    await putOnTop('second.qcow2', 'first.qcow2');
    await writes('B');
    await putOnTop('third.qcow2', 'second.qcow2', 'first.qcow2');
    await writes('C');
    // As the storage does it: a copy takes the name.
    await copyFile(join(folder, 'second.qcow2'), join(folder, 'merged.qcow2'));
    qemuImg('rebase', '-q', '-f', 'qcow2', '-b', '', 'merged.qcow2');
    await rename(join(folder, 'merged.qcow2'), join(folder, 'second.qcow2'));
    await rm(join(folder, 'first.qcow2'));
    expect((await host.openFiles()).filter((path) => /deleted/.test(path))).not.toEqual([]);

    await putOnTop('fourth.qcow2', 'third.qcow2', 'second.qcow2');
    await writes('D');
    expect((await host.openFiles()).filter((path) => /first|deleted/.test(path))).toEqual([]);
    // Read by the emulator, through all that it has open.
    qemuImg('create', '-q', '-f', 'qcow2', 'other.qcow2', '1M');
    const from = imageOf('fourth.qcow2', ['third.qcow2', 'second.qcow2']);
    await backend.mirrorVbd(VM, from, imageOf('other.qcow2'), mirroring());
    await backend.destroy(VM);
    expect([await lettersIn('second.qcow2'), await lettersIn('other.qcow2')]).toEqual(['AB', 'ABCD']);
  });

  test('a copy that is given up, or that cannot be made, leaves the guest with what it has', async () => {
    const { backend, console } = await running();

    qemuImg('create', '-q', '-f', 'qcow2', 'other.qcow2', '1M');
    qemuImg('create', '-q', '-f', 'qcow2', 'small.qcow2', '64K');
    const given = AbortSignal.abort(new Error('given up'));
    const from = imageOf('first.qcow2');
    await expect(backend.mirrorVbd(VM, from, imageOf('other.qcow2'), mirroring(given))).rejects.toThrow(
      'given up',
    );
    await expect(backend.mirrorVbd(VM, from, imageOf('small.qcow2'), mirroring())).rejects.toThrow();
    await expect(backend.overlayVbd(VM, imageOf('none.qcow2', ['first.qcow2']))).rejects.toThrow();
    console.send('x');
    await console.until('A');
    expect((await host.openFiles()).filter((path) => /other|small/.test(path))).toEqual([]);
    // What could not be done once can be done later.
    await backend.mirrorVbd(VM, from, imageOf('other.qcow2'), mirroring());
    console.send('x');
    await console.until('B');
    await backend.destroy(VM);
    expect([await lettersIn('first.qcow2'), await lettersIn('other.qcow2')]).toEqual(['A', 'AB']);
  });

  test('a server of NBD stands for a file: a guest starts from it, writes to it, and is plugged another', async () => {
    await host.bootable(waiting, 'boot.raw');
    await host.file('more.raw');
    const served = async (name: string): Promise<{ readonly disk: GuestDisk; end(): Promise<void> }> => {
      const socket = join(folder, `${name}.sock`);
      const server = spawn(
        'qemu-nbd',
        ['-t', '-f', 'raw', '-x', `the ${name}`, '-k', socket, `${name}.raw`],
        {
          cwd: folder,
          stdio: 'inherit',
        },
      );
      const ended = once(server, 'exit');
      await expect.poll(() => existsSync(socket), { timeout: 20_000 }).toBe(true);
      const end = async (): Promise<void> => {
        server.kill();
        await ended;
      };
      return { disk: { ...diskOf(socket), exportName: `the ${name}` }, end };
    };
    const [boot, more] = [await served('boot'), await served('more')];
    try {
      const was = await stat(boot.disk.path ?? '');
      const { backend } = await host.daemon();
      const guest = await backend.create(host.spec([boot.disk]), work());
      const console = await consoleAt(consolePath(guest));
      await backend.unpause(VM);
      await console.until('Hello');
      console.send('x');
      await console.until('A');
      expect((await readFile(join(folder, 'boot.raw'))).toString('latin1', 512, 516)).toBe('AAAA');
      const next = (await host.daemon([vmOf()])).backend;
      const { vbd } = diskOf(undefined, { id: [VM, 'xvdb'], position: 1 });
      await next.plugVbd(VM, { ...more.disk, vbd });
      await next.destroy(VM);
      const { uid, gid, mode } = await stat(boot.disk.path ?? '');
      expect({ uid, gid, mode }).toEqual({ uid: was.uid, gid: was.gid, mode: was.mode });
    } finally {
      await Promise.all([boot.end(), more.end()]);
    }
  });
});

// Goal: where the daemon is root no guest runs as root: each has a user of its own that owns its sockets and
//   nothing else, and what it is lent while it runs is taken back, also after its daemon died.
// Method: real emulators on disks that only root may open, in folders that only root may enter.
import { chmod, copyFile, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FIRST_USER } from '../../../src/daemons/xenopsd/qemu/guest-users.ts';
import type { Vm } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { diskOf, noQemu, type TestHost, testHost, VM, vmOf, work } from './guests.ts';

const why = noQemu ?? (process.getuid?.() === 0 ? undefined : 'only root may become others');
const OTHER = VM.replace(/^6/, '7');

describe.skipIf(why)(`the users of guests${why ? ` (${why})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  let own: string;
  beforeEach(async () => {
    host = await testHost();
    own = await host.file('own.raw');
    await chmod(own, 0o600);
  });
  afterEach(() => host.close());

  const usersOf = async (): Promise<(string | undefined)[]> => {
    const texts = (await host.emulators()).map((pid) => readFile(`/proc/${pid}/status`, 'utf8'));
    return (await Promise.all(texts)).map((text) => /^Uid:\s+(\d+\s+\d+\s+\d+\s+\d+)$/m.exec(text)?.[1]);
  };
  const ownerOf = async (path: string) => {
    const { uid, gid, mode } = await stat(path);
    return [uid, gid, mode & 0o777];
  };
  const four = (uid: number): string => [uid, uid, uid, uid].join('\t');
  const second = (path: string) => diskOf(path, { id: [VM, 'xvdb'], position: 1 });

  test('each guest has its own, and its disk stays what it was', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(own)]), work());
    const vm: Partial<Vm> = { id: OTHER };
    await backend.create({ ...host.spec([], [], vm), domid: 2 }, work());
    expect((await usersOf()).sort()).toEqual([four(FIRST_USER + 1), four(FIRST_USER + 2)]);
    expect(await host.openFiles()).toContain(own);
    expect(await ownerOf(own)).toEqual([0, 0, 0o600]);
    const state = join(host.folder, 'state');
    for (const guest of await readdir(state)) {
      // Nothing can be exchanged under the daemon's feet.
      expect(await ownerOf(join(state, guest))).toEqual([0, 0, 0o711]);
      expect((await ownerOf(join(state, guest, 'guest.json')))[0]).toBe(0);
    }
  });

  test('a disk behind folders that only root enters is refused with what to do, and stays what it was', async () => {
    const folder = join(host.folder, 'closed');
    await mkdir(join(folder, 'repository'), { recursive: true, mode: 0o700 });
    const far = join(folder, 'repository', 'far.raw');
    await copyFile(own, far);
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(own)]), work());
    await expect(backend.plugVbd(VM, second(far))).rejects.toMatchObject({
      tag: 'Not_supported',
      args: ['VBD.VDI', expect.any(String), expect.stringContaining('halted')],
    });
    expect(await ownerOf(far)).toEqual([0, 0, 0o600]);
  });

  test('a disk that is plugged later is the guest’s until it is gone, also under the next daemon', async () => {
    const later = await host.file('later.raw');
    await chmod(later, 0o600);
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(own)]), work());
    await backend.plugVbd(VM, second(later));
    expect((await ownerOf(later))[0]).toBe(FIRST_USER + 1);
    const next = (await host.daemon([vmOf()])).backend;
    await next.destroy(VM);
    expect(await ownerOf(later)).toEqual([0, 0, 0o600]);
  });
});

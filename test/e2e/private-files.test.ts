// Goal: nothing that a host keeps can be read by another user of the machine, not even for a moment.
// Method: the built program under a umask that hides nothing, used with each hypervisor; every file is looked at while
// the guest runs, while it sleeps and after the end.
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { logIn } from './client.ts';
import { newGuest } from './lab.ts';
import { clean, has, newDataFolder, start, type Xenact } from './xenact.ts';

let xenact: Xenact | undefined;
let data = '';
afterEach(async () => {
  await xenact?.end('SIGKILL');
  await clean(data);
});

const lax = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];

/** What others may look into, links apart: those have no mode of their own. */
const open = (path: string): readonly string[] => {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isSymbolicLink()) return [];
  const inside = found.isDirectory() ? readdirSync(path).flatMap((name) => open(join(path, name))) : [];
  // A guest of a user of its own passes through the folder that it is given, and sees nothing of it.
  const seen = found.isDirectory() ? 0o066 : 0o077;
  return (found.mode & seen) === 0 ? inside : [`${(found.mode & 0o777).toString(8)} ${path}`, ...inside];
};

const used = async (hypervisor: string): Promise<void> => {
  data = await newDataFolder();
  const folder = join(data, 'kept');
  xenact = await start(folder, ['--hypervisor', hypervisor], lax);
  const session = await logIn(xenact.http);
  const { vm } = await newGuest(xenact, session, 'guest', Buffer.alloc(1 << 20));
  expect(open(folder)).toEqual([]);
  await session.call('VM.start', vm, false, false);
  expect(open(folder)).toEqual([]);
  await session.call('VM.suspend', vm);
  expect(open(folder)).toEqual([]);
  await session.call('VM.resume', vm, false, false);
  await session.call('VM.snapshot', vm, 'kept');
  await session.call('VM.hard_shutdown', vm);
  await xenact.end('SIGTERM');
  expect(open(folder)).toEqual([]);
};

test('under the simulated hypervisor', () => used('sim'), 60_000);

test.skipIf(!has('qemu-system-x86_64') || !has('qemu-img'))('under QEMU', () => used('qemu'), 120_000);

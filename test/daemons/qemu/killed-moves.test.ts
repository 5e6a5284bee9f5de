// Goal: a daemon that is killed at any step of moving a guest's disk to another image comes back and knows which of
//   the two the guest writes to: that one it names and keeps open, the other one it lets go of.
// Method: a real guest under QEMU that fills a sector for each key, a daemon that dies as it is about to give one
//   command to the emulator, another daemon after it, and storage that counts what is open. Simulated guests likewise.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../../src/daemons/xenopsd/backend.ts';
import { qemuBackend } from '../../../src/daemons/xenopsd/qemu/backend.ts';
import { FIRST_USER } from '../../../src/daemons/xenopsd/qemu/guest-users.ts';
import { guestKernelsIn } from '../../../src/drivers/guest-kernels.ts';
import type { Hypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import type { Network } from '../../../src/drivers/network.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeRandom } from '../../../src/drivers/node/random.ts';
import { deaths, dyingIn, simOf, startMortal } from '../xenopsd/dying.ts';
import {
  connectClient,
  diskOf,
  type FakeStorage,
  type Machinery,
  metadataOf,
  type Running,
  serveStorage,
  startDaemon,
  useBench,
  work,
} from '../xenopsd/harness.ts';
import { bootSector } from './boot-sector.ts';
import { consoleAt, consolePath, emulatorsIn, noQemu, VM, vmOf } from './guests.ts';

const bench = useBench();
const device = 'xvda';

/** Datapaths that storage has open. */
const openAt = ({ calls }: FakeStorage): readonly string[] => {
  const open = new Set<string>();
  for (const call of calls) {
    const [method, name = ''] = call.split(' ');
    if (method === 'VDI.attach3') open.add(name);
    if (method === 'VDI.detach') open.delete(name);
  }
  return [...open];
};

/** The disk that the daemon names, once it has done with everything. */
const namedBy = async (client: Hypervisor, vm: string): Promise<string> => {
  await client.turn(vm, work());
  return (await client.statVbd([vm, device]))?.disk?.[1] ?? 'none';
};

const move = (client: Hypervisor, vm: string, to: string): Promise<void> =>
  client.mirrorVbd([vm, device], ['VDI', `sr/${to}`], work());

describe.skipIf(noQemu)(`under QEMU${noQemu ? ` (${noQemu})` : ''}`, { timeout: 120_000 }, () => {
  afterEach(async () => {
    for (const pid of await emulatorsIn(bench().path('qemu'))) process.kill(pid, 'SIGKILL');
  });

  /** Dies in the place of the first such command after a mirror was asked for. */
  const dyingAt = (command: string, network: Network, die: () => Promise<never>): Network => {
    let mirroring = false;
    return {
      ...network,
      connect: async (to, limits) => {
        const stream = await network.connect(to, limits);
        const write = stream.write.bind(stream);
        stream.write = ((text: unknown, ...rest: never[]) => {
          const isDue = mirroring && String(text).includes(`"${command}"`);
          mirroring ||= String(text).includes('"blockdev-mirror"');
          if (isDue) void die();
          return isDue || write(text as string, ...rest);
        }) as typeof stream.write;
        return stream;
      },
    };
  };
  const qemuOf = ({ network, ...basics }: Machinery): Backend =>
    qemuBackend({
      ...basics,
      network,
      state: bench().path('qemu'),
      kernels: guestKernelsIn(nodeDisk, undefined),
      random: nodeRandom,
      ...(process.getuid?.() === 0 && { firstUser: FIRST_USER }),
    });
  const lettersIn = (name: string): string => {
    const bytes = readFileSync(bench().path(name)).toString('latin1');
    return [...'ABCDEFGHIJ']
      .filter((letter, at) => bytes.slice(512 * (at + 1), 512 * (at + 2)) === letter.repeat(512))
      .join('');
  };

  test('the guest has the disk that is named, and every byte of its is there', async () => {
    const storage = await serveStorage(bench());
    const client = connectClient(bench());
    const how = { waitForKey: 'serial', answers: 'letters', writes: 'sectors' } as const;
    const image = bootSector({ line: 'Hello', ending: 'halt', ...how });
    writeFileSync(bench().path('begin'), image);
    const begin = diskOf(VM, device, { backend: ['VDI', 'sr/begin'] });
    let named = 'begin';
    let written = '';
    const steps = ['query-block-jobs', 'stop', 'blockdev-reopen', 'cont', 'blockdev-del', 'nothing'];
    let last: Running | undefined;
    for (const [index, step] of steps.entries()) {
      await last?.kill();
      const { died } = await startMortal(bench(), (basics, die) =>
        qemuOf({ ...basics, network: dyingAt(step, basics.network, die) }),
      );
      if (index === 0) {
        await client.importMetadata(metadataOf(vmOf(), [begin]), 'test');
        await client.start(VM, false, work());
        await client.unpause(VM, work());
      }
      writeFileSync(bench().path(step), Buffer.alloc(image.length));
      const before = named;
      const moving = move(client, VM, step);
      if (step === 'nothing') await moving;
      else {
        await Promise.all([died, expect(moving, step).rejects.toThrow()]);
        last = await startDaemon(bench(), {}, {}, qemuOf);
      }
      named = (await namedBy(client, VM)).slice('sr/'.length);
      const isExchanged = ['cont', 'blockdev-del', 'nothing'].includes(step);
      expect(named, step).toBe(isExchanged ? step : before);
      expect(openAt(storage), step).toHaveLength(1);
      const state = await client.stat(VM);
      expect(state?.power_state, step).toBe('Running');

      const serial = await consoleAt(consolePath({ consoles: state?.consoles ?? [] }));
      if (index === 0) await serial.until('Hello');
      const letter = [...'ABCDEFGHIJ'][written.length] ?? '';
      serial.send('x');
      await serial.until(letter);
      written += letter;
      serial.end();
      expect(lettersIn(named), step).toBe(written);
      for (const other of ['begin', ...steps.slice(0, index + 1)]) {
        if (other !== named) expect(lettersIn(other), `${other} after ${step}`).not.toContain(letter);
      }
      await client.turn(VM, work());
    }
    await client.shutdown(VM, undefined, work());
    expect(openAt(storage)).toEqual([]);
  });
});

describe('simulated', () => {
  test.each(deaths)('the guest has the disk that is named, where the daemon died %s', async (at) => {
    const storage = await serveStorage(bench());
    const client = connectClient(bench());
    const { died } = await startMortal(bench(), (basics, die) => dyingIn(bench(), at, basics, die));
    await client.importMetadata(metadataOf(vmOf(), [diskOf(VM, device)]), 'test');
    await client.start(VM, false, work());
    await client.unpause(VM, work());
    await Promise.all([died, expect(move(client, VM, 'other')).rejects.toThrow()]);
    await startDaemon(bench(), {}, {}, (basics) => simOf(bench(), basics));
    expect(await namedBy(client, VM)).toBe(at === 'exchanged' ? 'sr/other' : `sr/${VM}-${device}`);
    expect(openAt(storage)).toHaveLength(1);
    await client.shutdown(VM, undefined, work());
    expect(openAt(storage)).toEqual([]);
  });
});

// Goal: a host starts part by part, ends in the opposite order, and one whose start fails leaves nothing running.
// Method: a whole host in virtual time, whose parts note when they are opened and closed and can be made to fail. A world
// in which nothing is planned any more has nothing that runs.
import { expect, test } from 'vitest';
import { closing } from '../../src/assembly/closing.ts';
import { startHost } from '../../src/assembly/host.ts';
import type { HostParts } from '../../src/assembly/parts.ts';
import { memoryMesh, simulatedCertificate } from '../../src/simulation/memory-mesh.ts';
import { memoryNetwork } from '../../src/simulation/memory-network.ts';
import { openMachine } from '../../src/simulation/pool/machine.ts';
import { openParts, stateFolder } from '../../src/simulation/pool/process.ts';
import { simulatedVolumes } from '../../src/simulation/volumes.ts';
import { Fault } from '../../src/std/fault.ts';
import { silentLog } from '../../src/std/log.ts';
import { simulated } from '../simulation/simulated.ts';

type Failing =
  | 'database'
  | 'mesh'
  | 'facts'
  | 'doors'
  | 'plugins'
  | 'hypervisor'
  | 'hypervisor later'
  | 'daemon'
  | 'daemon for good'
  | 'a commit'
  | 'every commit';

/** Fewer than a start endures. */
const failuresOfCommits = 3;

/** What runs for ever takes more. */
const stepsMax = 5_000;

const started = async (failing?: Failing) => {
  const { clock, loop, random, life: lifeNamed } = simulated('assembly');
  const life = lifeNamed('host');
  const mesh = memoryMesh({ clock, random });
  const network = memoryNetwork({ random });
  const machine = openMachine({
    past: {
      ...{ machine: 'host', host: '' as never, peer: undefined as never },
      certificate: simulatedCertificate(random),
    },
    ...{ clock, random, network, volumes: simulatedVolumes(random), log: silentLog },
    takes: { writeMs: [0, 0], syncMs: [0, 0], operationMs: [0, 0] },
    changed: () => {},
  });
  const { disk } = machine;
  await disk.of(life).makeFolder(stateFolder);
  const seen: string[] = [];
  const open = new Set<string>();
  const noted = <T extends { close(): Promise<unknown> }>(name: string, part: T): T => {
    seen.push(`${name} opens`);
    open.add(name);
    const close = async (): Promise<void> => {
      await part.close();
      seen.push(`${name} closes`);
      open.delete(name);
    };
    return Object.assign(Object.create(part), { close }) as T;
  };
  const failIf = (name: Failing): void => {
    if (failing === name) throw new Error(`No ${name} today`);
  };
  let daemonDied = false;
  let failures = 0;
  const opened = closing(silentLog, life);
  const given = await openParts(
    {
      ...{ machine, life, random, log: silentLog, replicas: 0, sabotage: {}, boots: true },
      mesh: mesh.of('host', life),
      network: network.of('host', life),
      restart: () => {},
      etcd: () => {
        throw new Error('The log of this host is in no cluster');
      },
      poolLog: {},
      door: { open: async () => Promise.reject(new Error('This host joins nobody')) },
    },
    opened,
  );
  await loop.finish(machine.daemon.ensure());
  const parts: HostParts = {
    ...given,
    database: {
      ...given.database,
      durable: () => {
        failIf('database');
        return noted('database', given.database.durable());
      },
    },
    mesh: {
      ...given.mesh,
      network: {
        ...given.mesh.network,
        listen: async (...args) => {
          failIf('mesh');
          return noted('mesh', await given.mesh.network.listen(...args));
        },
      },
    },
    facts: async () => {
      failIf('facts');
      return given.facts();
    },
    storage: Object.assign(Object.create(given.storage), {
      plugins: async () => {
        failIf('plugins');
        return given.storage.plugins();
      },
    }),
    hypervisor: Object.assign(Object.create(given.hypervisor), {
      list: async () => {
        failIf('hypervisor');
        failures += 1;
        if (failing === 'every commit' || (failing === 'a commit' && failures <= failuresOfCommits)) {
          throw new Fault('HOST_STILL_BOOTING', []);
        }
        if (failing === 'daemon for good' || (failing === 'daemon' && !daemonDied)) {
          daemonDied = true;
          machine.daemon.kill();
        }
        return given.hypervisor.list();
      },
      watch: (...args: Parameters<typeof given.hypervisor.watch>) => {
        failIf('hypervisor later');
        given.hypervisor.watch(...args);
      },
    }),
    doors: async () => {
      failIf('doors');
      return noted('doors', {
        httpsPort: 443,
        open: () => void seen.push('clients are let in'),
        close: async () => {},
      });
    },
  };
  const starting = startHost(parts, opened);
  return { loop, seen, open, opened, starting, machine };
};

test('a host lets clients in last, and closes in the opposite order', async () => {
  const { loop, seen, opened, starting, machine } = await started();
  const { host } = await loop.finish(starting);
  expect(seen).toEqual(['database opens', 'mesh opens', 'doors opens', 'clients are let in']);
  expect(host.pool.duty.kind).toBe('leads');
  expect([...host.store.committed.all('SR')].map(([, { type }]) => type)).toContain('iso');
  seen.length = 0;
  await loop.finish(opened.close());
  machine.daemon.kill();
  await loop.rest();
  expect(seen).toEqual(['doors closes', 'mesh closes', 'database closes']);
  expect(await loop.run({ stepsMax })).toBe('idle');
});

test.each<Failing>(['database', 'mesh', 'facts', 'doors', 'hypervisor', 'hypervisor later'])(
  'a start that fails at the %s leaves nothing running',
  async (failing) => {
    const { loop, open, opened, starting, machine } = await started(failing);
    await expect(loop.finish(starting)).rejects.toThrow(`No ${failing} today`);
    await loop.finish(opened.close());
    machine.daemon.kill();
    expect([...open]).toEqual([]);
    expect(await loop.run({ stepsMax })).toBe('idle');
  },
);

test('a daemon that dies while its host starts is started again', async () => {
  const { loop, seen, opened, starting } = await started('daemon');
  await loop.finish(starting);
  expect(seen).toContain('clients are let in');
  await loop.finish(opened.close());
});

test('a start ends with an error when the daemon dies again and again', async () => {
  const { loop, open, opened, starting } = await started('daemon for good');
  await expect(loop.finish(starting)).rejects.toThrow('Failed_to_contact_remote_service');
  await loop.finish(opened.close());
  expect([...open]).toEqual([]);
});

test('a start whose commits fail, as another host leads meanwhile, goes on', async () => {
  const { loop, seen, opened, starting } = await started('a commit');
  await loop.finish(starting);
  expect(seen).toContain('clients are let in');
  await loop.finish(opened.close());
});

test('a start ends with the fault when its commits fail for good', async () => {
  const { loop, opened, starting } = await started('every commit');
  await expect(loop.finish(starting)).rejects.toThrow('HOST_STILL_BOOTING');
  await loop.finish(opened.close());
});

test('a host that is stopped while its start is repeated ends at once', async () => {
  const { loop, open, opened, starting, machine } = await started('every commit');
  const ended = expect(starting).rejects.toThrow();
  await loop.run({ stepsMax: 400 });
  expect([...open]).not.toEqual([]);
  await loop.finish(opened.close());
  await loop.finish(ended);
  machine.daemon.kill();
  expect([...open]).toEqual([]);
  expect(await loop.run({ stepsMax })).toBe('idle');
});

test('a coordinator whose rows cannot be brought in line serves all the same, and tries it again', async () => {
  const { loop, seen, opened, starting } = await started('plugins');
  const { host } = await loop.finish(starting);
  expect(host.pool.duty.kind).toBe('leads');
  expect(seen).toContain('clients are let in');
  await loop.finish(opened.close());
});

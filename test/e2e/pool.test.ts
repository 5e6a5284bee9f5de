// Goal: hosts become one pool, which works as one for its clients, also across its hosts.
// Method: three built programs with addresses of their own on loopback join, are called through the coordinator
//   and through members, and leave again; with the simulated hypervisor.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Xapi } from 'xen-api';
import { struct } from '../../src/std/value.ts';
import { call, logIn, type Session } from './client.ts';
import { codeOf, eventually, hostRefs, type Lab, lab, type PoolHost, patience, tokenOf } from './hosts.ts';
import {
  diskUrl,
  looseEnds,
  newDisk,
  newVm,
  type Row,
  readOverNbd,
  rowsOf,
  text,
  untilEnded,
  untilState,
} from './lab.ts';
import { folderOfNotes } from './notes-driver.ts';
import { has, newDataFolder, password } from './xenact.ts';

let pool: Lab;
let session: Session;
let refs: readonly string[];
const drivers: string[] = [];

beforeAll(async () => {
  pool = await lab();
  const add = async (...flags: readonly string[]): Promise<PoolHost> => {
    const folder = await folderOfNotes();
    drivers.push(folder);
    return pool.add('--sm-dir', folder, '--xapi-socket', join(folder, 'xapi'), ...flags);
  };
  const [first] = [await add(), await add(), await add('--edge-members', 'serve')];
  await Promise.all(pool.hosts.map((one) => one.up()));
  session = await logIn(first.http);
}, 120_000);
afterAll(async () => {
  await pool?.close();
  for (const folder of drivers) await rm(folder, { recursive: true, force: true });
});

const ref = (index: number): string => refs[index] as string;
const joinAs = (joining: Session, user: string, given: string): Promise<unknown> =>
  joining.call('pool.join', `127.0.0.1:${new URL(pool.host(0).https).port}`, user, given);

describe('a host that is a pool by itself', () => {
  let joining: Session;
  beforeAll(async () => {
    joining = await logIn(pool.host(1).http);
  });

  test('does not join with a wrong password, or where nobody answers', async () => {
    expect(await codeOf(joinAs(joining, 'root', 'wrong'))).toBe('SESSION_AUTHENTICATION_FAILED');
    expect(await codeOf(joining.call('pool.join', '127.0.0.1:1', 'root', password))).toBe(
      'JOINING_HOST_CONNECTION_FAILED',
    );
  });

  test('does not join itself', async () => {
    const own = `127.0.0.2:${new URL(pool.host(1).https).port}`;
    expect(await codeOf(joining.call('pool.join', own, 'root', password))).toBe('OPERATION_NOT_ALLOWED');
  });

  test('does not join with guests that run or sleep', async () => {
    const vm = await newVm(joining, 'busy');
    await joining.call('VM.start', vm, false, false);
    expect(await codeOf(joinAs(joining, 'root', password))).toBe('JOINING_HOST_CANNOT_HAVE_RUNNING_VMS');
    await joining.call('VM.hard_shutdown', vm);
    await joining.call('VM.set_name_label', vm, 'brought along');
  });

  test('does not join with shared storage', async () => {
    const [host = ''] = (await joining.call('host.get_all')) as string[];
    const place = new Map([['location', `${pool.host(1).data}/sr-2`]]);
    const rest = ['shared', '', 'file', 'user', true, new Map<string, string>()] as const;
    const sr = (await joining.call('SR.create', host, place, 0n, ...rest)) as string;
    expect(await codeOf(joinAs(joining, 'root', password))).toBe('JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS');
    for (const pbd of (await joining.call('SR.get_PBDs', sr)) as string[])
      await joining.call('PBD.unplug', pbd);
    await joining.call('SR.forget', sr);
  });

  test('joins as soon as nothing keeps it, and brings its halted VMs, storage and nothing else', async () => {
    const before = await rowsOf(session, 'VM');
    await joinAs(joining, 'root', password);
    await eventually(async () => {
      refs = await hostRefs(session, pool.hosts.slice(0, 2));
      expect(await session.call('host.get_enabled', ref(1))).toBe(true);
      expect(await codeOf(logIn(pool.host(1).http))).toBe('HOST_IS_SLAVE');
    });
    const vms = await rowsOf(session, 'VM');
    const names = [...vms].filter(([vm]) => !before.has(vm)).map(([, row]) => text(row, 'name_label'));
    expect(names.filter((name) => !/control domain/i.test(name))).toEqual(['brought along']);
    expect(names).toHaveLength(2);
    const repositories = [...(await rowsOf(session, 'SR')).values()].map((row) => text(row, 'name_label'));
    expect(repositories.toSorted()).toEqual(['CD images', 'CD images', 'Local storage', 'Local storage']);
    expect((await rowsOf(session, 'pool')).size).toBe(1);
    expect((await rowsOf(session, 'PBD')).size).toBe(4);
    for (const pbd of (await rowsOf(session, 'PBD')).values())
      expect(pbd.get('currently_attached')).toBe(true);
  });

  test('cannot join by way of a member, nor can a pool of several join another', async () => {
    const third = await logIn(pool.host(2).http);
    const port = new URL(pool.host(0).https).port;
    expect(await codeOf(third.call('pool.join', `127.0.0.2:${port}`, 'root', password))).toBe(
      'HOST_IS_SLAVE',
    );
    expect(await codeOf(session.call('pool.join', `127.0.0.3:${port}`, 'root', password))).toBe(
      'JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS',
    );
  });

  test('joins at its start by a token, and says ready when it is a member', async () => {
    const third = pool.host(2);
    await third.down('SIGTERM');
    await third.up('--join', pool.host(0).https, '--join-token', await tokenOf(pool.host(0)));
    refs = await hostRefs(session, pool.hosts);
    expect(new Set(refs).size).toBe(3);
    expect(third.xenact.printed.filter((line) => line.startsWith('xenact ready'))).toHaveLength(1);
  });

  test('has the passwords of the pool, also those that change later', async () => {
    // The third serves clients by itself.
    const own = pool.host(2).http;
    await expect(call(own, 'session.login_with_password', ['root', password])).resolves.toMatch(/^OpaqueRef/);
    await session.call('session.change_password', password, 'another horse');
    for (const { http } of pool.hosts) {
      const login = 'session.slave_local_login_with_password';
      await expect(call(http, login, ['root', 'another horse'])).resolves.toMatch(/^OpaqueRef/);
    }
    await session.call('session.change_password', 'another horse', password);
  });
});

describe('a pool of three', () => {
  let vm: string;
  let serving: Session;
  beforeAll(async () => {
    serving = await logIn(pool.host(2).http);
    vm = await newVm(session, 'moving');
  });

  test('has the same rows on every host', async () => {
    for (const cls of ['host', 'VM', 'SR', 'PBD', 'VDI', 'network', 'PIF', 'pool', 'host_metrics', 'task']) {
      const [here, there] = [await rowsOf(session, cls), await rowsOf(serving, cls)];
      expect([...there.keys()].toSorted(), cls).toEqual([...here.keys()].toSorted());
    }
    const [master] = [...(await rowsOf(serving, 'pool')).values()].map((row) => text(row, 'master'));
    expect(master).toBe(ref(0));
    for (const row of (await rowsOf(session, 'host_metrics')).values()) expect(row.get('live')).toBe(true);
  });

  test('has a driver of Xen hosts on a member, whose rows the coordinator writes for it', async () => {
    const none = new Map<string, string>();
    const made = ['old', '', 'notes', 'user', false, none] as const;
    const sr = (await session.call('SR.create', ref(2), none, 0n, ...made)) as string;
    const fields = {
      name_label: 'a note',
      name_description: '',
      SR: sr,
      virtual_size: 1_048_576n,
      type: 'user',
    };
    const more = { sharable: false, read_only: false, other_config: none };
    const vdi = (await session.call('VDI.create', struct({ ...fields, ...more }))) as string;
    expect(await session.call('VDI.get_location', vdi)).toMatch(/^note-/);
    expect(await session.call('VDI.get_name_label', vdi)).toBe('a note');
    await serving.call('SR.scan', sr);
    await serving.call('VDI.destroy', vdi);
    expect(await session.call('SR.get_VDIs', sr)).toEqual([]);
    for (const pbd of (await session.call('SR.get_PBDs', sr)) as string[])
      await session.call('PBD.unplug', pbd);
    await session.call('SR.destroy', sr);
    expect(await codeOf(session.call('SR.get_uuid', sr))).toBe('HANDLE_INVALID');
  });

  test('starts a VM on the second host, moves it to the third under load, shows its console, shuts it down', async () => {
    const seen: Promise<readonly string[]> = placesSeen(session, vm);
    await session.call('VM.start_on', vm, ref(1), false, false);
    expect(await session.call('VM.get_resident_on', vm)).toBe(ref(1));
    const { uuid } = { uuid: (await session.call('VM.get_uuid', vm)) as string };
    expect(await pool.host(1).guests()).toEqual([uuid]);

    let moved = false;
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, client) => {
        for (let step = 0; !moved; step += 1) {
          await session.call('VM.add_to_other_config', vm, `c${client}-${step}`, 'x');
          await session.call('VM.get_record', vm);
        }
      }),
    );
    await session.call('VM.pool_migrate', vm, ref(2), new Map([['live', 'true']]));
    moved = true;
    await load;
    expect(await session.call('VM.get_resident_on', vm)).toBe(ref(2));
    expect(await session.call('VM.get_power_state', vm)).toBe('Running');
    expect(await pool.host(1).guests()).toEqual([]);
    expect(await pool.host(2).guests()).toEqual([uuid]);

    const [shown = ''] = (await session.call('VM.get_consoles', vm)) as string[];
    const location = (await session.call('console.get_location', shown)) as string;
    expect(new URL(location).host).toBe(new URL(pool.host(2).https).host);
    const { search } = new URL(location);
    for (const { http } of pool.hosts) {
      const said = await firstBytes(`${http}/console${search}&session_id=${session.ref}`);
      expect(said, http).toContain('simulated guest moving');
    }

    await session.call('VM.hard_shutdown', vm);
    expect(await pool.host(2).guests()).toEqual([]);
    const places = (await seen).filter((place) => !place.startsWith('Paused'));
    expect(places.filter((place, index, all) => place !== all[index - 1])).toEqual([
      'Halted on nowhere',
      'Running on host 2',
      'Running on host 3',
      'Halted on nowhere',
    ]);
  });

  test('tells every host of tasks, wherever they run', async () => {
    const task = (await serving.call('Async.VM.start_on', vm, ref(1), false, false)) as string;
    expect(text(await untilEnded(session, task), 'status')).toBe('success');
    const stop = (await session.call('Async.VM.hard_shutdown', vm)) as string;
    expect(text(await untilEnded(serving, stop), 'status')).toBe('success');
    await untilState(session, vm, 'Halted');
  });

  test.skipIf(!has('qemu-img'))(
    'serves a disk over NBD from each host that reaches it',
    async () => {
      const folder = await newDataFolder();
      drivers.push(folder);
      const how = [0n, 'shared', '', 'file', 'user', true, new Map<string, string>()] as const;
      const place = new Map([['location', join(folder, 'shared')]]);
      const shared = (await session.call('SR.create', ref(0), place, ...how)) as string;
      const pbds = (await session.call('SR.get_PBDs', shared)) as string[];
      const card = [...(await rowsOf(session, 'PIF')).values()].find((row) => row.get('management') === true);
      await session.call('network.add_purpose', text(card, 'network'), 'nbd');
      const local = await session.call('PBD.get_SR', await localPbd(ref(1)));
      const content = Buffer.alloc(1 << 20, 'what is on it');
      for (const [sr, hosts] of [
        [local as string, [1]],
        [shared, [0, 1, 2]],
      ] as const) {
        const vdi = await newDisk(session, content.length, { SR: sr });
        const at = pool.host(hosts[0]);
        const put = await fetch(diskUrl(at, session, 'import', vdi), {
          method: 'PUT',
          body: content.slice(),
        });
        expect(put.status).toBe(200);
        for (const asked of [session, serving]) {
          const servers = (await asked.call('VDI.get_nbd_info', vdi)) as Row[];
          const addresses = servers.map((server) => text(server, 'address')).toSorted();
          expect(addresses).toEqual(hosts.map((index) => pool.host(index).address));
          for (const server of servers) expect(content.equals(await readOverNbd(folder, server))).toBe(true);
        }
        // What its last reader had it busy with ends once the connection does.
        await expect.poll(() => looseEnds(session), patience).toEqual([]);
        await session.call('VDI.destroy', vdi);
      }
      for (const pbd of pbds) await session.call('PBD.unplug', pbd);
      await session.call('SR.forget', shared);
    },
    60_000,
  );

  /** Of storage that the host alone has. */
  const localPbd = async (host: string): Promise<string> => {
    const srs = await rowsOf(session, 'SR');
    for (const [pbd, row] of await rowsOf(session, 'PBD')) {
      const sr = srs.get(text(row, 'SR'));
      const isLocal = sr?.get('shared') === false && sr.get('content_type') !== 'iso';
      if (text(row, 'host') === host && isLocal && text(sr, 'type') === 'file') return pbd;
    }
    throw new Error('The host has no storage of its own');
  };
});

describe('the npm client xen-api', () => {
  const connected = async (index: number): Promise<any> => {
    const { http } = pool.host(index);
    const xapi = new Xapi({ url: http, auth: { user: 'root', password }, watchEvents: true });
    await xapi.connect();
    await xapi.objectsFetched;
    return xapi;
  };

  test.each([
    ['a member that sends clients to the coordinator', 1],
    ['a member that serves clients itself', 2],
  ])('pointed at %s works', async (_, index) => {
    const xapi = await connected(index);
    try {
      expect(xapi.pool.master).toBe(ref(0));
      const [template] = await xapi.call('VM.get_by_name_label', 'Other install media');
      const vm = await xapi.call('VM.clone', template, `of a client of ${index}`);
      await xapi.call('VM.provision', vm);
      await xapi.call('VM.start', vm, false, false);
      await xapi.barrier(vm);
      expect(xapi.getObjectByRef(vm).power_state).toBe('Running');
      await xapi.call('VM.hard_shutdown', vm);
      await xapi.call('VM.destroy', vm);
    } finally {
      await xapi.disconnect();
    }
  });

  test('reads all records of every class from a member that serves', async () => {
    const serving = await logIn(pool.host(2).http);
    const methods = (await call(pool.host(2).http, 'system.listMethods', [])) as string[];
    const classes = methods.flatMap((method) => /^(\w+)\.get_all_records$/.exec(method)?.[1] ?? []);
    expect(classes.length).toBeGreaterThan(40);
    for (const cls of classes) {
      if ((await codeOf(rowsOf(session, cls))) === 'MESSAGE_REMOVED') continue;
      const [here, there] = [await rowsOf(session, cls), await rowsOf(serving, cls)];
      expect([...there.keys()].toSorted(), cls).toEqual([...here.keys()].toSorted());
    }
  });
});

describe('a host that leaves', () => {
  test('by pool.eject is a pool of its own again, and may join once more', async () => {
    const gone = ref(1);
    await session.call('pool.eject', gone);
    await eventually(async () => {
      const alone = await logIn(pool.host(1).http);
      const hosts = await rowsOf(alone, 'host');
      expect(hosts.size).toBe(1);
      expect(hosts.has(gone)).toBe(false);
      expect((await rowsOf(alone, 'SR')).size).toBe(2);
    });
    const left = await rowsOf(session, 'host');
    expect([...left.keys()].toSorted()).toEqual([ref(0), ref(2)].toSorted());
    expect((await rowsOf(session, 'PBD')).size).toBe(4);
    const joining = await logIn(pool.host(1).http);
    await joinAs(joining, 'root', password);
    await eventually(async () => {
      refs = await hostRefs(session, pool.hosts);
      expect(await session.call('host.get_enabled', ref(1))).toBe(true);
      expect(await codeOf(logIn(pool.host(1).http))).toBe('HOST_IS_SLAVE');
    });
    expect(ref(1)).not.toBe(gone);
  });

  test('for ever is taken out by host.destroy, with what only it could reach', async () => {
    await pool.host(1).down('SIGKILL');
    const metrics = (await session.call('host.get_metrics', ref(1))) as string;
    await expect.poll(() => session.call('host_metrics.get_live', metrics), patience).toBe(false);
    await session.call('host.destroy', ref(1));
    expect((await rowsOf(session, 'host')).has(ref(1))).toBe(false);
    expect((await rowsOf(session, 'PBD')).size).toBe(4);
    const vm = await newVm(session, 'after it');
    await session.call('VM.start_on', vm, ref(2), false, false);
    await session.call('VM.hard_shutdown', vm);
  });
});

/** What a console says first, over a WebSocket. */
const firstBytes = async (url: string): Promise<string> => {
  const socket = new WebSocket(url.replace('http', 'ws'), 'binary');
  try {
    const [bytes] = await once(socket, 'message');
    return String(bytes);
  } finally {
    socket.terminate();
  }
};

/** Where a VM was and in which state, as one client after another hears of it, until it is halted again. */
const placesSeen = async (session: Session, vm: string): Promise<readonly string[]> => {
  const places: string[] = [];
  const nameOf = (host: string): string =>
    refs.includes(host) ? `host ${refs.indexOf(host) + 1}` : 'nowhere';
  let token = '';
  for (let ran = false; ; ) {
    const batch = (await session.call('event.from', [`VM/${vm}`], token, 30)) as Row;
    for (const event of batch.get('events') as readonly Row[]) {
      const row = event.get('snapshot') as Row;
      places.push(`${text(row, 'power_state')} on ${nameOf(text(row, 'resident_on'))}`);
      if (text(row, 'power_state') === 'Running') ran = true;
      if (ran && text(row, 'power_state') === 'Halted') return places;
    }
    token = batch.get('token') as string;
  }
};

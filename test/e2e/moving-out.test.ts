// Goal: a VM moves to another pool with its snapshots and memory and is then on that side only; whatever fails or is
//   killed on the way leaves it, whole, on exactly one; nobody else than the pool that was meant is sent anything.
// Method: two pools of the built program on one machine, simulated guests; disks are read back byte by byte.
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { type Failure, logIn, type Session } from './client.ts';
import { defaultSr, diskUrl, looseEnds, newGuest, type Row, rowsOf, text, until, untilEnded } from './lab.ts';
import { clean, newDataFolder, start, type Xenact } from './xenact.ts';

interface Side {
  data: string;
  xenact: Xenact;
  session: Session;
}

const MiB = 1 << 20;
const none: Value = new Map();
const here = {} as Side;
const there = {} as Side;

const begin = async (side: Side): Promise<void> => {
  side.xenact = await start(side.data, ['--hypervisor', 'sim']);
  side.session = await logIn(side.xenact.http);
};

/** Pools tell each other an address of a card; on a machine without any there is nothing to tell. */
const hasCard = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.internal === false && one.family === 'IPv4');

beforeAll(async () => {
  for (const side of [here, there]) {
    side.data = await newDataFolder();
    await begin(side);
  }
}, 120_000);
afterAll(async () => {
  for (const side of [here, there]) {
    await side.xenact?.end('SIGTERM');
    await clean(side.data);
  }
});

const bytesOf = async ({ xenact, session }: Side, vdi: string): Promise<Buffer> => {
  const answer = await fetch(diskUrl(xenact, session, 'export', vdi));
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
};

const disksOf = async ({ session }: Side, vm: string): Promise<readonly string[]> => {
  const drives = await rowsOf(session, 'VBD');
  return [...drives.values()].filter((row) => text(row, 'VM') === vm).map((row) => text(row, 'VDI'));
};

const [anyHost, anyNetwork] = ['host', 'network'].map((cls) => async ({ session }: Side): Promise<string> => {
  const [ref = ''] = (await rowsOf(session, cls)).keys();
  return ref;
}) as [(side: Side) => Promise<string>, (side: Side) => Promise<string>];

/** What a host answers on a network of which it has a card with an address. */
const received = async (side: Side): Promise<ReadonlyMap<string, string>> => {
  const cards = [...(await rowsOf(side.session, 'PIF')).values()];
  const card = cards.find((row) => text(row, 'IP') !== '');
  expect(card, 'this machine has a network card with an address').toBeDefined();
  const answer = await side.session.call(
    'host.migrate_receive',
    await anyHost(side),
    text(card, 'network'),
    none,
  );
  return answer as ReadonlyMap<string, string>;
};

interface Wish {
  readonly dest?: ReadonlyMap<string, string>;
  readonly vdis?: ReadonlyMap<string, string>;
  readonly vifs?: ReadonlyMap<string, string>;
  readonly options?: Readonly<Record<string, string>>;
}

const argsOf = async (vm: string, wish: Wish = {}): Promise<readonly Value[]> => {
  const sr = await defaultSr(there.session);
  const vdis = wish.vdis ?? new Map((await disksOf(here, vm)).map((vdi) => [vdi, sr]));
  const options = new Map(Object.entries(wish.options ?? {}));
  return [vm, wish.dest ?? (await received(there)), true, vdis, wish.vifs ?? none, options] as Value[];
};

const move = async (vm: string, wish?: Wish): Promise<string> =>
  (await here.session.call('VM.migrate_send', ...(await argsOf(vm, wish)))) as string;

const namesOf = async ({ session }: Side): Promise<readonly string[]> =>
  [...(await rowsOf(session, 'VM')).values()].map((row) => text(row, 'name_label'));

const freshBytes = (mebibytes: number): Buffer => randomBytes(mebibytes * MiB);

const newCard = async (vm: string, MAC: string): Promise<string> => {
  const fields = { VM: vm, network: await anyNetwork(here), device: '0', MAC, MTU: 1_500n };
  const rest = { other_config: none, qos_algorithm_type: '', qos_algorithm_params: none };
  return (await here.session.call(
    'VIF.create',
    new Map(Object.entries({ ...fields, ...rest }) as [string, Value][]),
  )) as string;
};

/** Nothing of it is left on a side: no row, no disk, nothing open. */
const goneFrom = async (side: Side, name: string, disks: readonly string[]): Promise<void> => {
  expect(await namesOf(side)).not.toContain(name);
  const left = await rowsOf(side.session, 'VDI');
  expect(disks.filter((vdi) => left.has(vdi))).toEqual([]);
  expect(await looseEnds(side.session)).toEqual([]);
};

const refused = async (calls: Promise<unknown>): Promise<string> =>
  calls.then(
    () => 'done',
    ({ code }: Failure) => code,
  );

test.skipIf(!hasCard)(
  'a halted VM moves with its snapshot, card and bytes, and is then in the other pool only',
  async () => {
    const first = freshBytes(3);
    const { vm, vdi } = await newGuest(here.xenact, here.session, 'halted', first);
    const vif = await newCard(vm, '02:00:00:00:12:34');
    const snapshot = (await here.session.call('VM.snapshot', vm, 'before')) as string;
    const second = freshBytes(3);
    await fetch(diskUrl(here.xenact, here.session, 'import', vdi), {
      method: 'PUT',
      body: new Uint8Array(second),
    });
    const uuid = await here.session.call('VM.get_uuid', vm);
    const disks = [...(await disksOf(here, vm)), ...(await disksOf(here, snapshot))];
    const sr = (await there.session.call(
      'SR.create',
      await anyHost(there),
      new Map([['location', join(there.data, 'sr-2')]]),
      ...[0n, 'two', '', 'file', '', false, none],
    )) as string;
    const network = await anyNetwork(there);
    const wish: Wish = { vdis: new Map([[vdi, sr]]), vifs: new Map([[vif, network]]) };
    expect(await here.session.call('VM.assert_can_migrate', ...(await argsOf(vm, wish)))).toBe('');
    const moved = await move(vm, wish);

    const row = (await rowsOf(there.session, 'VM')).get(moved) as Row;
    expect([text(row, 'uuid'), text(row, 'name_label'), text(row, 'power_state')]).toEqual([
      uuid,
      'halted',
      'Halted',
    ]);
    const [disk = ''] = await disksOf(there, moved);
    expect(text((await rowsOf(there.session, 'VDI')).get(disk), 'SR')).toBe(sr);
    expect((await bytesOf(there, disk)).equals(second)).toBe(true);
    const [before = ''] = row.get('snapshots') as readonly string[];
    const [older = ''] = await disksOf(there, before);
    expect((await bytesOf(there, older)).equals(first)).toBe(true);
    const [card = ''] = row.get('VIFs') as readonly string[];
    const made = (await rowsOf(there.session, 'VIF')).get(card);
    expect([text(made, 'MAC'), text(made, 'network')]).toEqual(['02:00:00:00:12:34', network]);
    for (const [ref, cls] of [
      [disk, 'VDI'],
      [card, 'VIF'],
    ] as const)
      expect(await there.session.call(`${cls}.get_other_config`, ref)).toEqual(new Map());
    await goneFrom(here, 'halted', disks);
    expect(await namesOf(here)).not.toContain('before');
    expect(await looseEnds(there.session)).toEqual([]);
  },
  60_000,
);

test.skipIf(!hasCard)(
  'a copy is a VM of its own, and the original stays as it is',
  async () => {
    const bytes = freshBytes(2);
    const { vm, vdi } = await newGuest(here.xenact, here.session, 'copied', bytes);
    const copy = await move(vm, { options: { copy: 'true' } });
    const uuids = [await here.session.call('VM.get_uuid', vm), await there.session.call('VM.get_uuid', copy)];
    expect(new Set(uuids).size).toBe(2);
    const [disk = ''] = await disksOf(there, copy);
    expect((await bytesOf(there, disk)).equals(bytes)).toBe(true);
    expect((await bytesOf(here, vdi)).equals(bytes)).toBe(true);
    await here.session.call('VM.start', vm, false, false);
    expect(await refused(move(vm, { options: { copy: 'true' } }))).toBe('VM_BAD_POWER_STATE');
  },
  60_000,
);

test.skipIf(!hasCard)(
  'a suspended VM takes its memory along and wakes in the other pool',
  async () => {
    const { vm } = await newGuest(here.xenact, here.session, 'asleep', freshBytes(1));
    await here.session.call('VM.start', vm, false, false);
    await here.session.call('VM.suspend', vm);
    const memory = String(await here.session.call('VM.get_suspend_VDI', vm));
    const disks = [...(await disksOf(here, vm)), memory];
    const moved = await move(vm);
    expect(await there.session.call('VM.get_power_state', moved)).toBe('Suspended');
    await there.session.call('VM.resume', moved, false, false);
    expect(await there.session.call('VM.get_power_state', moved)).toBe('Running');
    await there.session.call('VM.hard_shutdown', moved);
    await goneFrom(here, 'asleep', disks);
  },
  60_000,
);

describe.skipIf(!hasCard)('what is refused before anything is done', () => {
  let vm: string;
  let vif: string;
  beforeAll(async () => {
    ({ vm } = await newGuest(here.xenact, here.session, 'refused', freshBytes(1)));
    vif = await newCard(vm, '02:00:00:00:12:35');
  }, 60_000);

  const cards = async (): Promise<ReadonlyMap<string, string>> => new Map([[vif, await anyNetwork(there)]]);
  const wishes: readonly (readonly [string, string, () => Promise<Wish>])[] = [
    ['a disk without a place', 'VDI_NOT_IN_MAP', async () => ({ vdis: new Map() })],
    ['a card without a network', 'VIF_NOT_IN_MAP', async () => ({})],
    [
      'a network that is not there',
      'HANDLE_INVALID',
      async () => ({ vifs: new Map([[vif, 'OpaqueRef:none']]) }),
    ],
    ['a move within the pool', 'NOT_IMPLEMENTED', async () => ({ dest: await received(here) })],
    [
      'a destination that lacks its session',
      'INVALID_VALUE',
      async () => ({ dest: new Map([...(await received(there))].filter(([key]) => key !== 'session_id')) }),
    ],
    [
      'a session that is none',
      'SESSION_INVALID',
      async () => ({ dest: new Map([...(await received(there)), ['session_id', 'OpaqueRef:none']]) }),
    ],
    [
      'a certificate that is another than was told',
      'TLS_CONNECTION_FAILED',
      async () => ({ dest: new Map([...(await received(there)), ['xenact:fingerprint', '00'.repeat(32)]]) }),
    ],
    [
      'a certificate that nobody told of and nobody signed',
      'TLS_CONNECTION_FAILED',
      async () => ({
        dest: new Map([...(await received(there))].filter(([key]) => key !== 'xenact:fingerprint')),
      }),
    ],
    [
      'a place where nobody is',
      'CANNOT_CONTACT_HOST',
      async () => ({ dest: new Map([...(await received(there)), ['master', 'https://127.0.0.1:1/']]) }),
    ],
  ];
  test.each(wishes)('%s: %s', async (_, code, wish) => {
    const more = await wish();
    const args = await argsOf(vm, code === 'VIF_NOT_IN_MAP' ? more : { vifs: await cards(), ...more });
    expect(await refused(here.session.call('VM.assert_can_migrate', ...args))).toBe(code);
    expect(await refused(here.session.call('VM.migrate_send', ...args))).toBe(code);
    expect(await looseEnds(here.session)).toEqual([]);
    expect(await namesOf(there)).not.toContain('refused');
  });
});

describe.skipIf(!hasCard)('a move that is cut off', () => {
  /** Begun, and some of it has gone over. */
  const underWay = async (name: string) => {
    const bytes = freshBytes(64);
    const { vm, vdi } = await newGuest(here.xenact, here.session, name, bytes);
    const args = await argsOf(vm);
    const task = (await here.session.call('Async.VM.migrate_send', ...args)) as string;
    await until(here.session, 'task', task, (row: Row) => (row.get('progress') as number) > 0);
    return { bytes, vm, vdi, task };
  };

  test('by its caller leaves it here, and nothing there', async () => {
    const { vm, vdi, bytes, task } = await underWay('cancelled');
    await here.session.call('task.cancel', task);
    const ended = await untilEnded(here.session, task);
    expect(text(ended, 'status')).toBe('cancelled');
    expect(await namesOf(there)).not.toContain('cancelled');
    expect((await bytesOf(here, vdi)).equals(bytes)).toBe(true);
    await here.session.call('VM.start', vm, false, false);
    expect(await looseEnds(here.session)).toEqual([]);
  }, 60_000);

  test.each(['here', 'there'] as const)(
    'by a kill %s leaves it here, and nothing there',
    async (side) => {
      const name = `killed ${side}`;
      const { vdi, bytes, task } = await underWay(name);
      const killed = side === 'here' ? here : there;
      await killed.xenact.end('SIGKILL');
      if (side === 'there') expect(text(await untilEnded(here.session, task), 'status')).toBe('failure');
      await begin(killed);
      const [vm = ''] = (await here.session.call('VM.get_by_name_label', name)) as string[];
      const isFree = (row: Row): boolean => (row.get('allowed_operations') as string[]).includes('start');
      await until(here.session, 'VM', vm, isFree);
      expect((await bytesOf(here, vdi)).equals(bytes)).toBe(true);
      expect(await namesOf(there)).not.toContain(name);
      expect(await refused(here.session.call('VM.start', vm, false, false))).toBe('done');
    },
    120_000,
  );
});

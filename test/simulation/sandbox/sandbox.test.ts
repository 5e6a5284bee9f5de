// Goal: a simulated pool has the rules of a real one: VMs live, move, die with their host and come back.
// Method: a small pool in this process, called as a client calls it, with troubles at chosen moments.

import { afterEach, describe, expect, test } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import type { RecordNamed } from '../../../src/model/class.ts';
import type { Ref } from '../../../src/model/types.ts';
import { nullRef } from '../../../src/model/types.ts';
import { hostCaller } from '../../../src/objects/invoke.ts';
import { connectConsole } from '../../../src/rules/consoles.ts';
import { openDiskHere } from '../../../src/rules/open-disk.ts';
import { type Sandbox, type SandboxOptions, sandboxOf } from '../../../src/simulation/sandbox/sandbox.ts';
import { readTrouble, TroubleUnusable } from '../../../src/simulation/sandbox/trouble-file.ts';
import { silentLog } from '../../../src/std/log.ts';
import { struct } from '../../../src/std/value.ts';

let pool: Sandbox | undefined;
afterEach(async () => {
  await pool?.close();
  pool = undefined;
});

const opened = async (options: Partial<SandboxOptions> = {}): Promise<Sandbox> => {
  pool = await sandboxOf({
    ...{ size: { hosts: 3, vms: 20, srs: 1 }, seed: 'test', name: 'test', latencyMs: [0, 0], silentMs: 10 },
    ...{ clock: nodeClock, log: silentLog, address: '127.0.0.1', authority: () => '127.0.0.1', version: '1' },
    credentials: { verify: async () => true, setPassword: async () => {} },
    ...options,
  });
  return pool;
};

const call = (to: Sandbox, method: string, ...args: readonly unknown[]): Promise<unknown> => {
  const message = to.catalog.find(method);
  if (message === undefined) throw new Error(`Nothing answers ${method}`);
  const filled = message.params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));
  return to.coordinator.invoker.invoke({
    message,
    args: filled,
    caller: hostCaller,
    watched: 'while-running',
  });
};
const codeOf = (done: Promise<unknown>): Promise<string> => done.then(String, (error) => error.code);

const guestsOf = ({ store }: Sandbox): readonly (readonly [Ref<'VM'>, RecordNamed<'VM'>])[] =>
  [...store.committed.all('VM')].filter(([, vm]) => !vm.is_a_template && !vm.is_control_domain);
/** One whose disk is on shared storage. */
const anyVm = (of: Sandbox): Ref<'VM'> => guestsOf(of)[0]?.[0] as Ref<'VM'>;
const vmOf = ({ store }: Sandbox, vm: Ref<'VM'>) => store.committed.require('VM', vm);
const until = (of: Sandbox, met: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (!met()) return;
      stop();
      resolve();
    };
    const stop = of.store.watch(look);
    look();
  });
const [start, force] = [false, false];

describe('a pool', () => {
  test('is the same for the same seed, and another for another', async () => {
    const textOf = async (seed: string): Promise<string> => {
      const made = await opened({ seed, clock: { ...nodeClock, now: () => 0 } });
      const rows = ['host', 'VM', 'VDI', 'VBD', 'VIF', 'PIF', 'SR', 'PBD', 'network'] as const;
      const text = rows.flatMap((cls) =>
        [...made.store.committed.all(cls)].map(([ref, { uuid }]) => `${ref} ${uuid}`),
      );
      await made.close();
      pool = undefined;
      return [...text, ...guestsOf(made).map(([, vm]) => vm.name_label)].join('\n');
    };
    const [one, again, other] = [await textOf('a'), await textOf('a'), await textOf('b')];
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  test('has of everything what was asked for', async () => {
    const { store } = await opened();
    const count = (cls: 'host' | 'SR' | 'PBD' | 'PIF') => [...store.committed.all(cls)].length;
    expect([count('host'), count('SR'), count('PBD'), count('PIF')]).toEqual([3, 5, 9, 6]);
    expect(guestsOf(pool as Sandbox).length).toBe(20);
    for (const [, vm] of guestsOf(pool as Sandbox)) {
      expect([vm.power_state, vm.VBDs.length, vm.VIFs.length]).toEqual(['Halted', 2, 1]);
      expect(vm.allowed_operations).toContain('start');
    }
  });
});

describe('a host that starts again', () => {
  test('tells a later start of its program after it was asked for one', async () => {
    let nowMs = 1_000_000_000;
    const of = await opened({ clock: { ...nodeClock, now: () => nowMs } });
    for (const { ref } of of.hosts) {
      const startedS = (): number =>
        Number(of.store.committed.require('host', ref).other_config.get('agent_start_time'));
      const before = startedS();
      nowMs += 60_000;
      await call(of, 'host.restart_agent', ref);
      await until(of, () => startedS() > before);
      expect(startedS()).toBe(nowMs / 1000);
    }
  });

  test('starts the VMs that are to start with it', async () => {
    const of = await opened();
    const vm = anyVm(of);
    const name = of.hosts.at(-1)?.name ?? '';
    const other_config = new Map([['auto_poweron', 'true']]);
    await of.store.commit((tx) => {
      tx.patch('pool', tx.only('pool')[0], { other_config });
      tx.patch('VM', vm, { other_config });
    });
    of.down(name);
    expect(vmOf(of, vm).power_state).toBe('Halted');
    await of.up(name);
    await until(of, () => vmOf(of, vm).power_state === 'Running');
  });
});

describe('a repository', () => {
  test('is measured by the host that looks after it, and by no other', async () => {
    const of = await opened();
    const used = () => [...of.store.committed.all('SR')].map(([, sr]) => sr.physical_utilisation);
    const before = used();
    await of.store.commit((tx) => {
      for (const [sr] of [...tx.all('SR')])
        tx.patch('SR', sr, { physical_utilisation: -1n, physical_size: -1n });
    });
    let left = used().length;
    for (const { ref } of of.hosts) {
      await of.runningAt(ref).repositories.look();
      const still = used().filter((one) => one === -1n).length;
      expect(still).toBeLessThan(left);
      left = still;
    }
    expect(used()).toEqual(before);
  });
});

describe('a VM', () => {
  test('starts, is seen by its agent, moves to another host and halts', async () => {
    const of = await opened();
    const vm = anyVm(of);
    await call(of, 'VM.start', vm, start, force);
    const row = vmOf(of, vm);
    expect(row.power_state).toBe('Running');
    expect(of.store.committed.get('VM_guest_metrics', row.guest_metrics)?.live).toBe(true);
    const [to] = of.hosts.filter(({ ref }) => ref !== row.resident_on);
    await call(of, 'VM.pool_migrate', vm, to?.ref, new Map([['live', 'true']]));
    expect([vmOf(of, vm).resident_on, vmOf(of, vm).power_state]).toEqual([to?.ref, 'Running']);
    expect(of.guestsOn(to?.name ?? '')).toBe(1);
    // What is under a disk changes wherever the guest is, also of a repository that all hosts have.
    const rows = of.store.committed;
    const drives = row.VBDs.map((ref) => rows.require('VBD', ref));
    const disk = drives.find(({ type }) => type === 'Disk')?.VDI as Ref<'VDI'>;
    const { SR } = rows.require('VDI', disk);
    expect(rows.require('SR', SR).shared).toBe(true);
    const grown = rows.require('VDI', disk).virtual_size + (1n << 20n);
    await call(of, 'VDI.resize_online', disk, grown);
    const local = [...rows.all('SR')].find(([sr, one]) => {
      const host = one.PBDs.map((ref) => rows.require('PBD', ref).host);
      return sr !== SR && one.content_type === 'user' && host.includes(to?.ref as Ref<'host'>);
    });
    const moved = await call(of, 'VDI.pool_migrate', disk, local?.[0], new Map());
    expect(rows.require('VDI', moved as Ref<'VDI'>)).toMatchObject({ SR: local?.[0], virtual_size: grown });
    expect(of.carried).toBeGreaterThan(0);
    await call(of, 'VM.clean_shutdown', vm);
    expect([vmOf(of, vm).power_state, vmOf(of, vm).resident_on]).toEqual(['Halted', nullRef]);
  });

  test('sleeps, wakes up, is copied and gets a disk while it runs', async () => {
    const of = await opened();
    const vm = anyVm(of);
    await call(of, 'VM.start', vm, start, force);
    await call(of, 'VM.suspend', vm);
    expect(vmOf(of, vm).power_state).toBe('Suspended');
    await call(of, 'VM.resume', vm, start, force);
    await call(of, 'VM.snapshot', vm, 'before', []);
    expect([vmOf(of, vm).power_state, vmOf(of, vm).snapshots.length]).toEqual(['Running', 1]);
    expect(await codeOf(call(of, 'VM.destroy', vm))).toBe('VM_BAD_POWER_STATE');
    await call(of, 'VM.hard_reboot', vm);
    expect(vmOf(of, vm).power_state).toBe('Running');
  });

  test('that ends by itself is halted, and one that restarts runs on', async () => {
    const of = await opened();
    const vm = anyVm(of);
    const { uuid } = vmOf(of, vm);
    expect(of.act(uuid, 'crash')).toBe(false);
    await call(of, 'VM.start', vm, start, force);
    expect(of.act(uuid, 'reboot')).toBe(true);
    expect(of.act(uuid, 'poweroff')).toBe(true);
    await until(of, () => vmOf(of, vm).power_state === 'Halted');
  });

  test('has a console wherever it runs', async () => {
    const of = await opened();
    const vm = anyVm(of);
    await call(of, 'VM.start', vm, start, force);
    const { services } = of.runningAt(vmOf(of, vm).resident_on);
    const stream = await connectConsole(services, vm);
    expect(String(stream.read())).toBe(`simulated guest ${vmOf(of, vm).uuid}\r\n`);
  });
});

describe('a host', () => {
  test('that loses its power is not live, and its VMs are halted once it is back', async () => {
    const of = await opened();
    const vm = anyVm(of);
    const lost = of.hosts[2] as Sandbox['hosts'][number];
    await call(of, 'VM.start_on', vm, lost.ref, start, force);
    const { metrics } = of.store.committed.require('host', lost.ref);
    expect(of.down(lost.name)).toBe(true);
    expect(of.down(lost.name)).toBe(false);
    await until(of, () => of.store.committed.get('host_metrics', metrics)?.live === false);
    expect(await codeOf(call(of, 'VM.clean_shutdown', vm))).toBe('HOST_OFFLINE');
    expect(await of.up(lost.name)).toBe(true);
    expect(of.store.committed.get('host_metrics', metrics)?.live).toBe(true);
    expect(vmOf(of, vm).power_state).toBe('Halted');
    await call(of, 'VM.start_on', vm, lost.ref, start, force);
    expect(vmOf(of, vm).resident_on).toBe(lost.ref);
  });

  test('that goes down ends what was asked of it', async () => {
    const of = await opened({ latencyMs: [60_000, 60_000] });
    const lost = of.hosts[1] as Sandbox['hosts'][number];
    const started = codeOf(call(of, 'VM.start_on', anyVm(of), lost.ref, start, force));
    await until(of, () => vmOf(of, anyVm(of)).current_operations.size > 0);
    of.down(lost.name);
    expect(await started).toBe('CANNOT_CONTACT_HOST');
  });

  test('that serves clients stays up', async () => {
    const of = await opened();
    expect(of.down('host-01')).toBe(false);
    expect(of.down('nobody')).toBe(false);
    expect(await of.up('host-02')).toBe(false);
  });

  test('goes down and comes back at its time', async () => {
    const of = await opened({ silentMs: 0 });
    const lost = of.hosts[2] as Sandbox['hosts'][number];
    const { metrics } = of.store.committed.require('host', lost.ref);
    const isLive = () => of.store.committed.get('host_metrics', metrics)?.live;
    of.plan([{ host: lost.name, downAtS: 0, upAtS: 0.1 }]);
    await until(of, () => isLive() === false);
    await until(of, () => isLive() === true);
    expect(of.isUp(lost.name)).toBe(true);
  });
});

describe('rules', () => {
  const rules = (of: Sandbox, ...given: readonly object[]) =>
    of.troubles.replace(readTrouble(JSON.stringify({ rules: given }), of.known).rules);

  test('make calls fail, of one host or of any, after some and so many times', async () => {
    const of = await opened();
    const vms = guestsOf(of).map(([vm]) => vm);
    rules(of, { method: 'VM.start', error: ['SR_BACKEND_FAILURE_46', '', 'gone', ''], after: 1, times: 2 });
    const codes = [];
    for (const vm of vms.slice(0, 4)) codes.push(await codeOf(call(of, 'VM.start', vm, start, force)));
    expect(codes).toEqual([...['undefined', 'SR_BACKEND_FAILURE_46', 'SR_BACKEND_FAILURE_46', 'undefined']]);
    expect(vmOf(of, vms[1] as Ref<'VM'>).current_operations.size).toBe(0);
    rules(of, { method: 'VM.start_on', host: 'host-02', error: ['INTERNAL_ERROR', 'x'] });
    const on = (i: number) => codeOf(call(of, 'VM.start_on', vms[4 + i], of.hosts[i]?.ref, start, force));
    expect([await on(1), await on(2)]).toEqual(['INTERNAL_ERROR', 'undefined']);
  });

  test('make calls slow, which can be cancelled', async () => {
    const of = await opened();
    const vm = anyVm(of);
    rules(of, { method: 'VM.start', delayMs: 3_600_000 });
    const message = of.catalog.find('VM.start') as NonNullable<ReturnType<typeof of.catalog.find>>;
    const task = await of.coordinator.invoker.invokeAsync({
      ...{ message, args: [vm, start, force], caller: hostCaller, watched: 'until-destroyed' },
    });
    await until(of, () => vmOf(of, vm).current_operations.size > 0);
    of.coordinator.services.cancel(task);
    await until(of, () => of.store.committed.get('task', task)?.status === 'cancelled');
    expect(vmOf(of, vm).power_state).toBe('Halted');
  });

  test('also meet decisions and reads', async () => {
    const of = await opened();
    rules(
      of,
      { method: 'host.disable', error: ['HOST_IN_USE'] },
      { method: 'host.compute_free_memory', error: ['HOST_BROKEN'] },
    );
    expect(await codeOf(call(of, 'host.disable', of.hosts[1]?.ref))).toBe('HOST_IN_USE');
    expect(await codeOf(call(of, 'host.compute_free_memory', of.hosts[1]?.ref))).toBe('HOST_BROKEN');
  });

  test.each([
    ['{', 'this is not JSON'],
    ['[]', 'the file must be an object'],
    ['{"rule": []}', 'unknown key "rule"'],
    ['{"rules": {}}', 'rules must be a list'],
    ['{"rules": [{"method": "VM.begin", "delayMs": 1}]}', 'rules[0].method must be the name of a call'],
    ['{"rules": [{"method": "VM.get_name_label", "delayMs": 1}]}', 'cannot be troubled'],
    ['{"rules": [{"method": "VM.start"}]}', 'needs "error" or "delayMs"'],
    ['{"rules": [{"method": "VM.start", "error": "X"}]}', 'must be a code and its parameters'],
    [
      '{"rules": [{"method": "VM.start", "delayMs": 1, "probability": 2}]}',
      'probability must be a number from 0 to 1',
    ],
    ['{"rules": [{"method": "VM.start", "delayMs": 1, "host": "host-9"}]}', 'must be a host of this pool'],
    ['{"rules": [{"method": "VM.start", "delayMs": 1, "after": 0.5}]}', 'must be a whole number'],
    ['{"hosts": [{"host": "host-01", "downAtS": 1}]}', 'is the coordinator'],
    ['{"hosts": [{"host": "host-02"}]}', 'hosts[0].downAtS must be'],
    ['{"hosts": [{"host": "host-02", "downAtS": 5, "upAtS": 5}]}', 'must be after'],
  ])('that cannot be obeyed are said to be so: %s', async (text, message) => {
    const { known } = await opened({ size: { hosts: 2, vms: 0, srs: 0 } });
    expect(() => readTrouble(text, known)).toThrow(TroubleUnusable);
    expect(() => readTrouble(text, known)).toThrow(message);
  });
});

describe('the disks of one host', () => {
  const localOf = ({ store, hosts }: Sandbox, index: number): Ref<'SR'> => {
    const found = [...store.committed.all('PBD')].find(([, { host, SR }]) => {
      const { shared, content_type } = store.committed.require('SR', SR);
      return host === hosts[index]?.ref && !shared && content_type === 'user';
    });
    return found?.[1].SR as Ref<'SR'>;
  };
  const bytesOf = async (of: Sandbox, vdi: Ref<'VDI'>, index: number): Promise<Buffer> => {
    const { services } = of.runningAt(of.hosts[index]?.ref as Ref<'host'>);
    const wanted = { vdi, how: 'read', operation: 'test' } as const;
    const open = await openDiskHere(services, wanted, new AbortController().signal);
    const bytes = Buffer.alloc(Number(open.sizeBytes));
    await open.read(bytes, 0n);
    await open.close();
    return bytes;
  };
  const none = nullRef;
  const plain = {
    type: 'user',
    name_label: 'd',
    sharable: false,
    read_only: false,
    other_config: struct({}),
  };

  test('are copied to the storage of another, byte for byte, into a new disk and over one that exists', async () => {
    const at = await opened();
    const [here, there] = [localOf(at, 1), localOf(at, 2)];
    const record = { SR: here, virtual_size: 5n << 20n, ...plain };
    const [source, old] = (await Promise.all(
      [here, there].map((SR) => call(at, 'VDI.create', struct({ ...record, SR }))),
    )) as Ref<'VDI'>[] as [Ref<'VDI'>, Ref<'VDI'>];
    const { services } = at.runningAt(at.hosts[1]?.ref as Ref<'host'>);
    const wanted = { vdi: source, how: 'write', operation: 'test' } as const;
    const disk = await openDiskHere(services, wanted, new AbortController().signal);
    await disk.write(Buffer.alloc(4096, 'copied'), 3n << 20n);
    await disk.close();

    const made = (await call(at, 'VDI.copy', source, there, none, none)) as Ref<'VDI'>;
    expect(at.store.committed.require('VDI', made).SR).toBe(there);
    const bytes = await bytesOf(at, source, 1);
    expect((await bytesOf(at, made, 2)).equals(bytes)).toBe(true);
    expect(await call(at, 'VDI.copy', source, none, none, old)).toBe(old);
    expect((await bytesOf(at, old, 2)).equals(bytes)).toBe(true);
    // Nothing is held any more at either end.
    await Promise.all([source, made, old].map((vdi) => call(at, 'VDI.destroy', vdi)));
  });

  test('are not copied to a host that is off, and nothing is left of trying', async () => {
    const at = await opened();
    const [here, there] = [localOf(at, 1), localOf(at, 2)];
    const record = struct({ SR: here, virtual_size: 1n << 20n, ...plain });
    const source = (await call(at, 'VDI.create', record)) as Ref<'VDI'>;
    const count = [...at.store.committed.all('VDI')].length;
    const off = at.hosts[2] as (typeof at.hosts)[number];
    at.down(off.name);
    await until(at, () => {
      const { metrics } = at.store.committed.require('host', off.ref);
      return !at.store.committed.require('host_metrics', metrics).live;
    });
    expect(await codeOf(call(at, 'VDI.copy', source, there, none, none))).toBe('HOST_OFFLINE');
    expect([...at.store.committed.all('VDI')]).toHaveLength(count);
    expect(at.store.committed.require('VDI', source).current_operations.size).toBe(0);
  });
});

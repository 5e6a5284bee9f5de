// Goal: what real guests do and what is done to them, over the whole product: every state is told by an
//   event, memory outlives a suspend, and of what ended nothing is left.
// Method: boot sectors under QEMU that answer each key with the next letter, so that a guest that went on
//   can be told from one that began anew; one xenact for all of them.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BootSector, bootSector } from '../daemons/qemu/boot-sector.ts';
import { type Failure, logIn, type Session } from './client.ts';
import { emulatorsOf, looseEnds, newGuest, rowsOf, text, until, untilEnded, untilState } from './lab.ts';
import { openSerial, type Serial } from './serial.ts';
import { clean, has, newDataFolder, start, type Xenact } from './xenact.ts';

const missing = ['qemu-system-x86_64', 'qemu-img'].filter((program) => !has(program));
const why = missing.length > 0 ? ` (${missing.join(', ')} not installed)` : '';
const line = 'here I am';

const answers = async (serial: Serial, letter: string): Promise<void> => {
  serial.send('x');
  await serial.until(letter);
};

describe.skipIf(missing.length > 0)(`a real guest under QEMU${why}`, () => {
  let data: string;
  let xenact: Xenact;
  let session: Session;
  let vm: string;
  beforeAll(async () => {
    data = await newDataFolder();
    xenact = await start(data, ['--hypervisor', 'qemu']);
    session = await logIn(xenact.http);
  });
  afterAll(async () => {
    await xenact.end('SIGKILL');
    await clean(data);
  });

  const boot = async (guest: Partial<BootSector> = {}): Promise<Serial> => {
    const sector = { line, ending: 'poweroff', waitForKey: 'serial', answers: 'letters', ...guest } as const;
    ({ vm } = await newGuest(xenact, session, 'a guest', bootSector(sector)));
    await session.call('VM.set_actions_after_crash', vm, 'destroy');
    await session.call('VM.start', vm, false, false);
    const serial = await openSerial(session, vm);
    await serial.until(line);
    return serial;
  };
  const domid = async (): Promise<bigint> => (await session.call('VM.get_domid', vm)) as bigint;
  const nothingIsLeft = async (): Promise<void> => {
    expect(emulatorsOf(data)).toEqual([]);
    expect(await looseEnds(session)).toEqual([]);
    const drives = [...(await rowsOf(session, 'VBD')).values()];
    expect(drives.filter((one) => one.get('currently_attached') === true)).toEqual([]);
    expect((await rowsOf(session, 'console')).size).toBe(0);
  };
  afterEach(async () => {
    // Whatever a test that failed has left must not fail the next.
    if (emulatorsOf(data).length > 0) await session.call('VM.hard_shutdown', vm);
  });

  test('that reboots by itself runs in another domain, and never was anything but Running', async () => {
    // One that restarts soon after its start is made to wait a little; the wait is part of what is shown.
    const serial = await boot({ ending: 'reboot' });
    await answers(serial, 'A');
    const before = await domid();
    const states = new Set<string>();
    const rebooted = until(session, 'VM', vm, (row) => {
      states.add(text(row, 'power_state'));
      // The new domain is named before it is built: it is there once it has consoles.
      return row.get('domid') !== before && (row.get('consoles') as readonly string[]).length > 0;
    });
    serial.send('q');
    expect((await rebooted).get('power_state')).toBe('Running');
    expect([...states]).toEqual(['Running']);
    const next = await openSerial(session, vm);
    await next.until(line);
    await answers(next, 'A');
    await session.call('VM.hard_shutdown', vm);
    await nothingIsLeft();
  });

  test('whose emulator is killed is Halted by an event, and starts again', async () => {
    await boot();
    const [emulator] = emulatorsOf(data);
    process.kill(emulator as number, 'SIGKILL');
    await untilState(session, vm, 'Halted');
    await nothingIsLeft();
    await session.call('VM.start', vm, false, false);
    await session.call('VM.hard_shutdown', vm);
    await nothingIsLeft();
  });

  test('keeps its memory over a suspend and a resume, here and where it comes to as a file', async () => {
    const serial = await boot();
    await answers(serial, 'A');
    await answers(serial, 'B');
    await session.call('VM.suspend', vm);
    expect(await session.call('VM.get_power_state', vm)).toBe('Suspended');
    expect(emulatorsOf(data)).toEqual([]);
    const image = (await session.call('VM.get_suspend_VDI', vm)) as string;
    expect(await session.call('VDI.get_type', image)).toBe('suspend');
    const at = (path: string): string => `${xenact.http}${path}&session_id=${session.ref}`;
    const file = await fetch(at(`/export?ref=${vm}&preserve_power_state=true&use_compression=zstd`));
    const body = await file.arrayBuffer();
    await session.call('VM.resume', vm, false, false);
    expect(await session.call('VM.get_power_state', vm)).toBe('Running');
    const next = await openSerial(session, vm);
    await answers(next, 'C');
    expect(await session.call('VM.get_suspend_VDI', vm)).toBe('OpaqueRef:NULL');
    expect((await rowsOf(session, 'VDI')).has(image)).toBe(false);
    next.send('q');
    await untilState(session, vm, 'Halted');
    const task = (await session.call('task.create', 'a file', '')) as string;
    await fetch(at(`/import?task_id=${task}`), { method: 'PUT', body });
    [vm = vm] = /OpaqueRef:[0-9a-f-]+/.exec(text(await untilEnded(session, task), 'result')) ?? [];
    expect(await session.call('VM.get_power_state', vm)).toBe('Suspended');
    await session.call('VM.resume', vm, false, false);
    const copy = await openSerial(session, vm);
    await answers(copy, 'C');
    copy.send('q');
    await untilState(session, vm, 'Halted');
    await nothingIsLeft();
  });

  test('goes on after a checkpoint, and from it once more after a revert', async () => {
    await answers(await boot(), 'A');
    const checkpoint = (await session.call('VM.checkpoint', vm, 'after A')) as string;
    expect(await session.call('VM.get_power_state', vm)).toBe('Running');
    const awake = await openSerial(session, vm);
    await answers(awake, 'B');
    await answers(awake, 'C');
    await session.call('VM.revert', checkpoint);
    expect(await session.call('VM.get_power_state', vm)).toBe('Suspended');
    await session.call('VM.resume', vm, false, false);
    const again = await openSerial(session, vm);
    await answers(again, 'B');
    again.send('q');
    await untilState(session, vm, 'Halted');
    // Its guest sleeps, and with it the drives that it had.
    await session.call('VM.hard_shutdown', checkpoint);
    await session.call('VM.destroy', checkpoint);
    const images = [...(await rowsOf(session, 'VDI')).values()].filter(
      (one) => text(one, 'type') === 'suspend',
    );
    expect(images).toEqual([]);
    await nothingIsLeft();
  });

  test('that obeys the power button shuts down cleanly', async () => {
    await boot();
    await session.call('VM.clean_shutdown', vm);
    expect(await session.call('VM.get_power_state', vm)).toBe('Halted');
    await nothingIsLeft();
  });

  test('does nothing while it is paused', async () => {
    const serial = await boot();
    await session.call('VM.pause', vm);
    expect(await session.call('VM.get_power_state', vm)).toBe('Paused');
    serial.send('q');
    // A guest that ran would be off by now: stopping it is refused as for any that is paused.
    await expect(session.call('VM.clean_shutdown', vm)).rejects.toMatchObject({ code: 'VM_BAD_POWER_STATE' });
    expect(await session.call('VM.get_power_state', vm)).toBe('Paused');
    await session.call('VM.unpause', vm);
    await untilState(session, vm, 'Halted');
    await nothingIsLeft();
  });

  test('that is started is let go by a hard shutdown, which does not wait for the start', async () => {
    ({ vm } = await newGuest(
      xenact,
      session,
      'cut short',
      bootSector({ line, ending: 'halt', waitForKey: 'none' }),
    ));
    for (const underway of [
      (row: ReadonlyMap<string, unknown>) => (row.get('current_operations') as Map<string, string>).size > 0,
      (row: ReadonlyMap<string, unknown>) => row.get('power_state') !== 'Halted',
    ]) {
      const task = (await session.call('Async.VM.start', vm, false, false)) as string;
      await until(session, 'VM', vm, underway);
      // A VM that is still Halted has nothing to be shut down yet, and says so.
      const early = await session.call('VM.hard_shutdown', vm).then(
        () => 'done',
        (error: Failure) => error.code,
      );
      expect(['done', 'VM_BAD_POWER_STATE']).toContain(early);
      await untilEnded(session, task);
      if (early !== 'done') await session.call('VM.hard_shutdown', vm);
      expect(await session.call('VM.get_power_state', vm)).toBe('Halted');
      await nothingIsLeft();
    }
  });
});

test('twenty simulated VMs that are started at once all run, each in a domain of its own', async () => {
  const data = await newDataFolder();
  const xenact = await start(data, ['--hypervisor', 'sim']);
  try {
    const session = await logIn(xenact.http);
    const [template] = (await session.call('VM.get_by_name_label', 'Other install media')) as string[];
    const names = Array.from({ length: 20 }, (_, i) => `VM ${i}`);
    const vms = await Promise.all(
      names.map(async (name) => {
        const vm = (await session.call('VM.clone', template as string, name)) as string;
        await session.call('VM.remove_from_other_config', vm, 'disks');
        await session.call('VM.provision', vm);
        return vm;
      }),
    );
    await Promise.all(vms.map((vm) => session.call('VM.start', vm, false, false)));
    const rows = await rowsOf(session, 'VM');
    expect(new Set(vms.map((vm) => text(rows.get(vm), 'power_state')))).toEqual(new Set(['Running']));
    expect(new Set(vms.map((vm) => rows.get(vm)?.get('domid'))).size).toBe(20);
    expect(await looseEnds(session)).toEqual([]);
    await Promise.all(vms.map((vm) => session.call('VM.hard_shutdown', vm)));
    expect(await looseEnds(session)).toEqual([]);
  } finally {
    await xenact.end('SIGKILL');
    await clean(data);
  }
});

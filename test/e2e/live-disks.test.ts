// Goal: a disk is snapshot, grown and moved to another repository while its guest runs and writes: the guest goes on,
//   each snapshot has what was written before it, and nothing that was written is lost.
// Method: the built program, a real guest under QEMU that fills a sector for each key, and the same calls on a
//   simulated one; disks are read back through the API.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { bootSector } from '../daemons/qemu/boot-sector.ts';
import { logIn, type Session } from './client.ts';
import { diskUrl, looseEnds, newGuest, type Row, readOverNbd, rowsOf, text, untilState } from './lab.ts';
import { openSerial, type Serial } from './serial.ts';
import { clean, has, newDataFolder, start, type Xenact } from './xenact.ts';

const line = 'alive';
const writes = { waitForKey: 'serial', answers: 'letters', writes: 'sectors' } as const;
const image = Buffer.from(bootSector({ line, ending: 'poweroff', ...writes }));
const hasQemu = has('qemu-system-x86_64') && has('qemu-img');

const letters = (bytes: Buffer): string =>
  ['A', 'B', 'C', 'D', 'E']
    .filter((letter, at) => bytes.toString('latin1', 512 * (at + 1), 512 * (at + 2)) === letter.repeat(512))
    .join('');

describe.each([
  ['qemu', hasQemu],
  ['sim', true],
] as const)('a disk of a guest that runs under %s', (hypervisor, isThere) => {
  let data: string;
  let xenact: Xenact;
  let session: Session;
  beforeAll(async () => {
    data = await newDataFolder();
    if (!isThere) return;
    xenact = await start(data, ['--hypervisor', hypervisor]);
    session = await logIn(xenact.http);
  }, 60_000);
  afterAll(async () => {
    await xenact?.end('SIGTERM');
    await clean(data);
  });

  const exported = async (vdi: string, more = ''): Promise<Buffer> => {
    const answer = await fetch(diskUrl(xenact, session, 'export', vdi, more));
    expect(answer.status).toBe(200);
    return Buffer.from(await answer.arrayBuffer());
  };
  const newSr = async (): Promise<string> => {
    const [host = ''] = (await rowsOf(session, 'host')).keys();
    const place = new Map([['location', join(data, 'sr-2')]]);
    return (await session.call(
      'SR.create',
      host,
      place,
      0n,
      'two',
      '',
      'file',
      'user',
      false,
      new Map(),
    )) as string;
  };
  const isReal = hypervisor === 'qemu';
  /** What a snapshot must have; a simulated guest writes nothing. */
  const seen = (expected: string): string => (isReal ? expected : '');

  const refusal = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'none',
      (error: Error) => error.message,
    );
  /** Between two snapshots of a disk that its guest goes on writing to; the data of the first go. */
  const tracked = async (disk: string, from: string, to: string): Promise<void> => {
    const changed = (one: string, other: string) => session.call('VDI.list_changed_blocks', one, other);
    const sameRow = await session.call('VDI.get_cbt_enabled', to);
    const whole = Buffer.from(String(await changed(from, to)), 'base64');
    expect([sameRow, whole[0], whole.subarray(1).every((bits) => bits === 0)]).toEqual([
      true,
      isReal ? 0x80 : 0,
      true,
    ]);
    expect(await refusal(changed(from, disk))).toContain('VDI_IN_USE');
    const kept = (await session.call('VDI.snapshot', from, new Map<string, Value>())) as string;
    await session.call('VDI.data_destroy', kept);
    expect(await session.call('VDI.get_type', kept)).toBe('cbt_metadata');
    expect(await changed(kept, to)).toBe(whole.toString('base64'));
    expect(await refusal(session.call('VDI.pool_migrate', disk, disk, new Map()))).toContain(
      'VDI_CBT_ENABLED',
    );
    await session.call('VDI.disable_cbt', disk);
    expect(await refusal(changed(from, disk))).toContain('VDI_NO_CBT_METADATA');
    await session.call('VDI.destroy', kept);
  };

  const serverOf = async (name: string): Promise<Row> => {
    const [server] = (await session.call('VDI.get_nbd_info', name)) as Row[];
    if (server === undefined) throw new Error('No host serves the disk');
    return server;
  };
  /** As a backup reads it: over TLS, as whom the name of the export says. */
  const overNbd = async (disk: string): Promise<Buffer> => {
    for (const [ref, row] of await rowsOf(session, 'network')) {
      if (row.get('bridge') !== 'xenapi' && (row.get('purpose') as Value[]).length === 0)
        await session.call('network.add_purpose', ref, 'nbd');
    }
    const server = await serverOf(disk);
    const exportname = text(server, 'exportname');
    const read = (name: string) => readOverNbd(data, new Map([...server, ['exportname', name]]));
    await expect(read(exportname.replace('OpaqueRef:', 'OpaqueRef:0'))).rejects.toThrow(/session/);
    return read(exportname);
  };

  test.skipIf(!isThere)(
    'is snapshot, grown and moved, and every byte is where it must be',
    async () => {
      const two = await newSr();
      const { vm, vdi } = await newGuest(xenact, session, 'writer', image);
      await session.call('VM.start', vm, false, false);
      await untilState(session, vm, 'Running');
      const serial: Serial | undefined = isReal ? await openSerial(session, vm) : undefined;
      await serial?.until(line);
      const writeTill = async (letter: string): Promise<void> => {
        serial?.send('x');
        await serial?.until(letter);
      };
      const snapshot = async (disk: string): Promise<string> =>
        (await session.call('VDI.snapshot', disk, new Map<string, Value>())) as string;

      await session.call('VDI.enable_cbt', vdi);
      await writeTill('A');
      const first = await snapshot(vdi);
      await writeTill('B');
      const second = await snapshot(vdi);
      await writeTill('C');
      expect([letters(await exported(first)), letters(await exported(second))]).toEqual([
        seen('A'),
        seen('AB'),
      ]);
      const delta = await exported(second, `&format=qcow2&base=${first}`);
      // Simulated guests change nothing; the changes of others are one stretch, which is all of this disk.
      expect(delta.length).toBeLessThanOrEqual(5 * 65_536 + (isReal ? image.length : 0));
      if (hasQemu) expect(letters(await overNbd(second))).toBe(seen('AB'));
      await tracked(vdi, first, second);

      await session.call('VDI.resize_online', vdi, 4n << 20n);
      const [drive = ''] = (await session.call('VM.get_VBDs', vm)) as string[];
      const moved = (await session.call('VDI.pool_migrate', vdi, two, new Map())) as string;
      expect(await session.call('VBD.get_VDI', drive)).toBe(moved);
      const rows = await rowsOf(session, 'VDI');
      expect([rows.has(vdi), text(rows.get(first), 'snapshot_of')]).toEqual([false, moved]);
      expect(text(rows.get(moved), 'virtual_size')).toBe(`${4 << 20}`);
      await writeTill('D');
      const third = await snapshot(moved);
      await writeTill('E');

      await session.call('VM.hard_shutdown', vm);
      expect([letters(await exported(third)), letters(await exported(moved))]).toEqual([
        seen('ABCD'),
        seen('ABCDE'),
      ]);
      expect(letters(await exported(second))).toBe(seen('AB'));
      expect(await looseEnds(session)).toEqual([]);
      for (const disk of [first, second, third]) await session.call('VDI.destroy', disk);
      await session.call('VM.start', vm, false, false);
      await untilState(session, vm, 'Running');
      await session.call('VM.hard_shutdown', vm);
    },
    120_000,
  );

  test.skipIf(!isThere)(
    'is moved while its guest is halted, and is what it was',
    async () => {
      const { vm, vdi } = await newGuest(xenact, session, 'halted', image);
      const two = [...(await rowsOf(session, 'SR'))].find(([, row]) => row.get('name_label') === 'two');
      const moved = (await session.call('VDI.pool_migrate', vdi, two?.[0] ?? '', new Map())) as string;
      const drives = (await session.call('VDI.get_VBDs', moved)) as string[];
      expect(await session.call('VBD.get_VM', drives[0] ?? '')).toBe(vm);
      expect((await exported(moved)).equals(image)).toBe(true);
      expect((await rowsOf(session, 'VDI')).has(vdi)).toBe(false);
      expect(await looseEnds(session)).toEqual([]);
    },
    60_000,
  );
});

// Goal: what leaves comes back byte for byte, as a new VM or as the one that it was; a file of another writer is taken,
//   and one that is wrong, cut, too large or made to do harm has its fault and leaves nothing behind.
// Method: the whole runtime in process over disks in memory; files of ours, spoiled ones, and one that GNU tar made.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clearArrivals } from '../../actors/vm/arrivals.ts';
import { tarEnd } from '../../src/codec/tar.ts';
import { blockName, blockSum } from '../../src/codec/xva.ts';
import { BodyBroken } from '../../src/drivers/http/http.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { StorageError } from '../../src/drivers/storage/storage.ts';
import { type Web, WebFailure } from '../../src/drivers/web.ts';
import type { WireMessage } from '../../src/model/derive.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { tarFile } from '../../src/rules/xva/disks.ts';
import { Fault } from '../../src/std/fault.ts';
import { arriving } from '../rules/images/memory-disk.ts';
import { clientOf, streamed } from './client.ts';
import { idle, refusal } from './storage-world.ts';
import { contents, type XvaWorld, xvaWorld } from './xva-world.ts';

const MiB = 1 << 20;

/** What stands under URLs; `asked` is how it was last asked for, and how often it was let go. */
const asked = { within: false, closed: 0 };
const files = new Map<string, () => AsyncIterable<Uint8Array>>();
const web: Web = {
  get: async (url, { within }) => {
    asked.within = within;
    const bytes = files.get(url.href)?.();
    if (bytes === undefined) throw new WebFailure(`${url.host} answered 404`);
    const close = (): void => {
      asked.closed += 1;
    };
    return { bytes, close };
  },
};

let w: XvaWorld;
let vm: Ref<'VM'>;
let file: Buffer;
beforeAll(async () => {
  w = await xvaWorld({ services: { processes: nodeProcesses, web } });
  vm = await w.newVm({ tags: [] });
  file = await w.exported({ ref: vm });
});
afterAll(() => w.close());

const row = (ref: Ref<'VM'>) => w.store.committed.require('VM', ref);
const drives = (ref: Ref<'VM'>) =>
  row(ref)
    .VBDs.map((vbd) => w.store.committed.require('VBD', vbd))
    .toSorted((one, other) => Number(one.userdevice) - Number(other.userdevice));
const card = (ref: Ref<'VM'>) => w.store.committed.require('VIF', row(ref).VIFs[0] as Ref<'VIF'>);
const counts = (): readonly number[] =>
  (['VM', 'VBD', 'VIF', 'VDI', 'network', 'VM_metrics', 'task'] as const).map(
    (cls) => [...w.store.latest.all(cls)].length,
  );
const vms = (): readonly Ref<'VM'>[] => [...w.store.committed.all('VM')].map(([ref]) => ref);

/** Takes a file, and answers the VM that came of it. */
const arrivedOf = async (bytes: Buffer, query: Record<string, unknown> = {}): Promise<Ref<'VM'>> => {
  const before = vms();
  await w.imported(arriving(bytes), { sr_id: w.sr, ...query });
  const [made] = vms().filter((one) => !before.includes(one));
  return made ?? (nullRef as Ref<'VM'>);
};

const leave = async (ref: Ref<'VM'>): Promise<void> => {
  const disks = drives(ref).flatMap(({ VDI, empty }) => (empty ? [] : [VDI]));
  await w.call('VM.destroy', ref);
  for (const vdi of disks) await w.call('VDI.destroy', vdi);
};

const sameBytes = async (one: Ref<'VM'>, other: Ref<'VM'>): Promise<void> => {
  const [ours, theirs] = [drives(one), drives(other)];
  expect(theirs.map(({ userdevice, type, empty }) => [userdevice, type, empty])).toEqual(
    ours.map(({ userdevice, type, empty }) => [userdevice, type, empty]),
  );
  for (const [at, { VDI, empty }] of ours.entries()) {
    if (empty) continue;
    expect(theirs[at]?.VDI).not.toBe(VDI);
    expect((await w.bytesOf(theirs[at]?.VDI as Ref<'VDI'>)).equals(await w.bytesOf(VDI))).toBe(true);
  }
};

describe('a VM that comes back', () => {
  test.each(['', 'gzip', 'zstd'])(
    'has every byte of its disks (%s), and is another VM',
    async (use_compression) => {
      const made = await arrivedOf(await w.exported({ ref: vm, use_compression }));
      await sameBytes(vm, made);
      const { uuid, name_label, other_config, version, imported_by, leftovers, current_operations } =
        row(made);
      expect([name_label, version, imported_by, leftovers.size, current_operations.size]).toEqual([
        ...['leaving', 0n, nullRef, 0, 0],
      ]);
      expect(uuid).not.toBe(row(vm).uuid);
      expect(other_config.get('mac_seed')).not.toBe(row(vm).other_config.get('mac_seed'));
      expect(card(made).MAC).not.toBe(card(vm).MAC);
      expect(card(made).network).toBe(card(vm).network);
      await leave(made);
      expect(idle(w)).toBe(true);
    },
  );

  test('is the one that it was where that is asked, and in its place where it is there', async () => {
    const [{ uuid }, { MAC }] = [row(vm), card(vm)];
    const again = await refusal(w.imported(arriving(file), { sr_id: w.sr, restore: true }));
    expect(again).toEqual(['VM_TO_IMPORT_IS_NOT_NEWER_VERSION', vm, '0', '0']);
    const twin = await w.newVm();
    const saved = await w.exported({ ref: twin });
    const [mac, disks] = [card(twin).MAC, drives(twin).flatMap(({ VDI, empty }) => (empty ? [] : [VDI]))];
    const restored = await arrivedOf(saved, { restore: true, force: true });
    expect(vms()).not.toContain(twin);
    expect([card(restored).MAC, row(restored).version]).toEqual([mac, 1n]);
    for (const vdi of disks) await w.call('VDI.destroy', vdi);
    await leave(restored);
    const back = await arrivedOf(saved, { restore: true });
    expect(card(back).MAC).toBe(mac);
    await leave(back);
    expect([row(vm).uuid, card(vm).MAC]).toEqual([uuid, MAC]);
  });

  test('does not take the place of one that runs, nor the addresses of another', async () => {
    await w.store.commit((tx) => tx.patch('VM', vm, { power_state: 'Running' }));
    const asked = { sr_id: w.sr, restore: true };
    expect(await refusal(w.imported(arriving(file), asked))).toEqual([
      ...['VM_BAD_POWER_STATE', vm, 'Halted', 'Running'],
    ]);
    const seed = row(vm).other_config.get('mac_seed');
    await w.store.commit((tx) => tx.patch('VM', vm, { power_state: 'Halted', uuid: 'another' }));
    expect(await refusal(w.imported(arriving(file), asked))).toEqual(['DUPLICATE_MAC_SEED', seed]);
  });

  test('sleeps on with its memory, where that was asked for', async () => {
    const memory: Ref<'VDI'> = await w.call(
      'VDI.create',
      new Map<string, unknown>(
        Object.entries({
          ...{ name_label: 'memory', SR: w.sr, virtual_size: BigInt(3 * MiB), type: 'suspend' },
          ...{ sharable: false, read_only: false, other_config: new Map() },
        }),
      ),
    );
    await w.fill(memory, contents(3 * MiB, 'what it remembers'));
    const sleeper = await w.newVm();
    await w.store.commit((tx) => {
      tx.patch('VM', sleeper, {
        ...{ power_state: 'Suspended', suspend_VDI: memory, last_booted_record: 'of its boot' },
      });
      for (const vbd of tx.require('VM', sleeper).VBDs)
        tx.patch('VBD', vbd, { currently_attached: true, device: 'xvda' });
    });
    const made = await arrivedOf(await w.exported({ ref: sleeper, preserve_power_state: true }));
    const { power_state, suspend_VDI, last_booted_record } = row(made);
    expect([power_state, last_booted_record]).toEqual(['Suspended', 'of its boot']);
    expect((await w.bytesOf(suspend_VDI)).equals(await w.bytesOf(memory))).toBe(true);
    expect(drives(made).every(({ currently_attached }) => currently_attached)).toBe(true);
    const halted = await arrivedOf(await w.exported({ ref: sleeper }));
    expect([row(halted).power_state, row(halted).suspend_VDI]).toEqual(['Halted', nullRef]);
    expect(drives(halted).some(({ currently_attached }) => currently_attached)).toBe(false);
  });
});

describe('a file of another writer', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'xva-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const member = (name: string, value: string): string => `<member><name>${name}</name>${value}</member>`;
  const text = (value: string): string => `<value>${value}</value>`;
  const object = (cls: string, id: string, fields: Record<string, string>): string => {
    const snapshot = Object.entries(fields).map(([name, value]) => member(name, value));
    const parts = [
      member('class', text(cls)),
      member('id', text(id)),
      member('snapshot', `<value><struct>${snapshot.join('')}</struct></value>`),
    ];
    return `<value><struct>${parts.join('')}</struct></value>`;
  };

  test('made by GNU tar, with few fields, words in lower case and ids of nothing, is a VM', async () => {
    const bytes = Buffer.alloc(MiB, 'of another');
    const objects = [
      object('VM', 'Ref:000', {
        name_label: text('small &amp; old'),
        power_state: text('halted'),
        metrics: text('Ref:9'),
      }),
      object('VBD', 'Ref:001', {
        VM: text('Ref:000'),
        VDI: text('Ref:002'),
        userdevice: text('0'),
        type: text('disk'),
      }),
      object('VBD', 'Ref:003', {
        VM: text('Ref:000'),
        VDI: text('Ref:53'),
        userdevice: text('3'),
        type: text('CD'),
      }),
      object('VDI', 'Ref:002', {
        SR: text('Ref:004'),
        virtual_size: text(String(MiB)),
        name_label: text('d'),
      }),
      object('SR', 'Ref:004', { content_type: text('user') }),
      object('Unknown', 'Ref:005', {}),
    ];
    const version = `<value><struct>${member('export_vsn', text('2'))}</struct></value>`;
    const xml = `<value><struct>${member('version', version)}${member(
      'objects',
      `<value><array><data>${objects.join('')}</data></array></value>`,
    )}</struct></value>`;
    const name = blockName('Ref:002', 0);
    mkdirSync(join(folder, 'Ref:002'));
    writeFileSync(join(folder, 'ova.xml'), xml);
    writeFileSync(join(folder, name), bytes);
    writeFileSync(join(folder, `${name}.checksum`), await blockSum('.checksum', bytes));
    const args = ['-C', folder, '--format=ustar', '-cf', '-', 'ova.xml', name, `${name}.checksum`];
    const made = await arrivedOf(execFileSync('tar', args, { maxBuffer: 4 * MiB }));
    expect([row(made).name_label, row(made).power_state]).toEqual(['small & old', 'Halted']);
    const [disk, disc] = drives(made);
    expect((await w.bytesOf(disk?.VDI as Ref<'VDI'>)).equals(bytes)).toBe(true);
    expect([disc?.type, disc?.empty]).toEqual(['CD', true]);
  });
});

describe('a file that this host asks for by URL', () => {
  const url = 'https://files.example/vm.xva.gz';
  const byUrl = (from: string, force = false): Promise<readonly Ref<'VM'>[]> =>
    w.call('VM.import', from, w.sr, false, force);

  test('becomes another VM each time, with every byte', async () => {
    const packed = await w.exported({ ref: vm, use_compression: 'gzip' });
    files.set(url, () => arriving(packed));
    const made = [...(await byUrl(url)), ...(await byUrl(url))] as [Ref<'VM'>, Ref<'VM'>];
    expect(new Set([vm, ...made].map((one) => card(one).MAC)).size).toBe(3);
    expect(new Set([vm, ...made].map((one) => row(one).uuid)).size).toBe(3);
    for (const one of made) {
      await sameBytes(vm, one);
      await leave(one);
    }
    expect([asked.closed, idle(w)]).toEqual([2, true]);
  });

  test('is asked of what only this host reaches where its callers are on it too', async () => {
    const host = w.services.host;
    const { address } = w.store.committed.require('host', host);
    for (const [at, within] of [
      ['10.0.0.1', false],
      ['127.0.0.1', true],
    ] as const) {
      await w.store.commit((tx) => tx.patch('host', host, { address: at }));
      await refusal(byUrl('http://127.0.0.1/none'));
      expect(asked.within).toBe(within);
    }
    await w.store.commit((tx) => tx.patch('host', host, { address }));
  });

  test('is refused where the URL is none, nothing is there, or it ends early, and leaves nothing', async () => {
    const before = counts();
    for (const bad of ['', 'vm.xva', 'file:///etc/passwd', 'ftp://files.example/vm.xva', 'http://'])
      expect((await refusal(byUrl(bad))).slice(0, 2)).toEqual(['INVALID_VALUE', 'url']);
    expect(await refusal(byUrl('http://files.example/none'))).toEqual([
      'IMPORT_ERROR',
      'files.example answered 404',
    ]);
    files.set(url, async function* () {
      yield file.subarray(0, (file.length * 9) / 10);
      throw new BodyBroken('The other side went away');
    });
    expect(await refusal(byUrl(url))).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
    expect(counts()).toEqual(before);
    expect(idle(w)).toBe(true);
  });
});

const fileOf = (name: string, text: string): Buffer =>
  Buffer.concat([tarFile(name, Buffer.from(text)), tarEnd()]);

describe('nothing is left of a file', () => {
  let before: readonly number[];
  beforeEach(() => {
    before = counts();
  });
  const refused = async (bytes: Buffer, query: Record<string, unknown> = {}): Promise<readonly string[]> => {
    const found = await refusal(w.imported(arriving(bytes), { sr_id: w.sr, ...query }));
    expect(counts()).toEqual(before);
    expect(idle(w)).toBe(true);
    return found;
  };

  test('that ends anywhere', async () => {
    for (const length of [0, 300, 2_000, 60_000, 2 * MiB, file.length - 3 * MiB, file.length - 2_000]) {
      expect(await refused(file.subarray(0, length)), String(length)).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
    }
    const packed = await w.exported({ ref: vm, use_compression: 'gzip' });
    expect(await refused(packed.subarray(0, packed.length - 100))).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
    const zstd = await w.exported({ ref: vm, use_compression: 'zstd' });
    expect(await refused(zstd.subarray(0, zstd.length - 100))).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
  });

  test('with a block that is not what its sum says, unless that is forced', async () => {
    const spoiled = Buffer.from(file);
    spoiled[file.length - 2_300] = 1;
    expect((await refused(spoiled))[0]).toBe('IMPORT_ERROR');
    const made = await arrivedOf(spoiled, { force: true });
    expect(made).not.toBe(nullRef);
    await leave(made);
  });

  test('that is no such file at all', async () => {
    expect((await refused(Buffer.alloc(4_096, 'no file')))[0]).toBe('IMPORT_ERROR');
    const other = fileOf('../ova.xml', '<value/>');
    expect(await refused(other)).toEqual(['IMPORT_ERROR_UNEXPECTED_FILE', 'ova.xml', '../ova.xml']);
    const bad = fileOf('ova.xml', '<value>no');
    expect((await refused(bad))[0]).toBe('IMPORT_ERROR');
    const bomb = `<!DOCTYPE a [<!ENTITY b "c">]><value>&b;</value>`;
    expect((await refused(fileOf('ova.xml', bomb)))[0]).toBe('IMPORT_ERROR');
  });

  test('whose second disk finds no room, or whose repository is none', async () => {
    const { createVolume } = w.storage;
    w.storage.createVolume = async (sr, wanted, call) => {
      if (wanted.name === 'disk 1') throw new StorageError('SR_BACKEND_FAILURE_44', ['', 'full', '']);
      return createVolume(sr, wanted, call);
    };
    expect((await refused(file))[0]).toBe('SR_BACKEND_FAILURE_44');
    w.storage.createVolume = createVolume;
    expect(await refused(file, { sr_id: 'gone' })).toEqual(['HANDLE_INVALID', 'SR', 'gone']);
    expect((await refused(file, { sr_id: '' }))[0]).toBe('DEFAULT_SR_NOT_FOUND');
  });

  test('that is cancelled while its disks come, during which nothing else is done with the VM', async () => {
    const ended = new AbortController();
    const fault = new Fault('TASK_CANCELLED', ['task']);
    let seen: readonly string[] = [];
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield file.subarray(0, 2 * MiB);
      await w.until(() =>
        [...w.store.committed.all('VM')].some(([, { imported_by }]) => imported_by !== nullRef),
      );
      const [, half] = [...w.store.committed.all('VM')].find(([, one]) => one.imported_by !== nullRef) ?? [];
      seen = [...(half?.current_operations.values() ?? [])];
      ended.abort(fault);
      yield file.subarray(2 * MiB);
    };
    const message = w.catalog.action('put_import') as WireMessage;
    const args = message.params.map(({ name, defaultValue }) => (name === 'sr_id' ? w.sr : defaultValue));
    const asked = streamed(w, 'put_import', args, clientOf(body()).client, { until: ended.signal });
    expect((await refusal(asked))[0]).toBe('TASK_CANCELLED');
    expect([counts(), seen]).toEqual([before, ['import']]);
  });

  test('whose host ends in the middle: at its next start VM and disks are gone', async () => {
    const made = await arrivedOf(file);
    const disks = drives(made).flatMap(({ VDI, empty }) => (empty ? [] : [VDI]));
    await w.store.commit((tx) =>
      tx.patch('VM', made, {
        imported_by: w.host,
        leftovers: new Map(disks.map((vdi) => [vdi, w.host] as const)),
      }),
    );
    await clearArrivals(w);
    expect(counts()).toEqual(before);
  });
});

// Goal: what storage or another host says of a guest that goes on here becomes no option of its emulator.
// Method: suspended guests are written to files whose heads are forged, and read.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readImage } from '../../../src/daemons/xenopsd/qemu/memory-image.ts';
import { originOf } from '../../../src/daemons/xenopsd/qemu/origin.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { isAllowed } from '../../../src/std/allowed.ts';

const disk0 = { key: 'xvda', id: 'vbd0', kind: 'disk', bus: 'pci', place: 12 };
const good = { machine: 'pc-i440fx-7.2', accelerator: 'tcg', devices: [disk0] };

describe('What a guest was', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'origin-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const read = async (head: object): Promise<unknown> => {
    const path = join(folder, 'image');
    const text = JSON.stringify({ is: 'Xenact QEMU guest', format: 1, lengthBytes: 0, ...head });
    writeFileSync(path, Buffer.concat([Buffer.from(text), Buffer.alloc(64 * 1024 - text.length)]));
    const image = await readImage(nodeDisk, path);
    await image.close();
    return image.header;
  };

  test('is taken where each of its values may be one', async () => {
    expect(await read(good)).toEqual({ ...good, lengthBytes: 0 });
    const seen = await read({ ...good, features: '00000201-80000000' });
    expect(seen).toEqual({ ...good, features: [0x201, 0x8000_0000], lengthBytes: 0 });
  });

  const forged: readonly (readonly [string, object])[] = [
    ['a machine with an option in it', { machine: 'pc,kernel=/etc/shadow' }],
    ['a machine that is none', { machine: '-daemonize' }],
    ['another accelerator', { accelerator: 'kvm,x=y' }],
    ['a processor with an option in it', { features: '00000201,kernel=/etc/shadow' }],
    ['a processor that is none', { features: [1] }],
    ['a device of another name', { devices: [{ ...disk0, id: 'vbd0,drive=x' }] }],
    ['a device of another kind', { devices: [{ ...disk0, kind: 'host' }] }],
    ['a device on no bus', { devices: [{ ...disk0, bus: 'usb' }] }],
    ['a device at no place', { devices: [{ ...disk0, place: '1' }] }],
    ['two devices of one name', { devices: [disk0, { ...disk0, id: 'vbd00' }] }],
    ['no devices', { devices: 'x' }],
    ['very many devices', { devices: Array(301).fill(disk0) }],
  ];
  test.each(forged)('is refused with %s', async (_, head) => {
    expect(() => originOf({ ...good, ...head })).toThrow();
    await expect(read({ ...good, ...head })).rejects.toThrow();
  });
});

test('Texts that go on to other programs have one form each', () => {
  expect(isAllowed('networkDevice', 'xenbr0')).toBe(true);
  for (const name of ['-x', 'a/b', '..', 'a b', '', 'x'.repeat(16)])
    expect(isAllowed('networkDevice', name)).toBe(false);
  for (const path of ['x', '-x', '', '/a\0', `/${'x'.repeat(4_095)}`])
    expect(isAllowed('path', path)).toBe(false);
  for (const mac of ['02:00:00:00:00:01\n', '02:00:00:00:00:01,x'])
    expect(isAllowed('macAddress', mac)).toBe(false);
});

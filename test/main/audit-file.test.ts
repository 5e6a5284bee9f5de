// Goal: lines of the audit log are kept in order over restarts and full files, and nobody waits for the disk.
// Method: the real disk in a temporary folder, with small limits.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { openAuditFile } from '../../src/main/audit-file.ts';
import { silentLog } from '../../src/std/log.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-audit-'));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (limits: object = {}) =>
  openAuditFile({ disk: nodeDisk, clock: nodeClock, log: silentLog, folder, ...limits });
const linesOf = async (chunks: AsyncIterable<Uint8Array>): Promise<readonly string[]> => {
  let text = '';
  for await (const chunk of chunks) text += Buffer.from(chunk).toString();
  return text.split('\n').slice(0, -1);
};

describe('the audit file', () => {
  test('gives every line back in order, those that still wait included', async () => {
    const audit = await open();
    for (let i = 0; i < 100; i += 1) audit.add(`line ${i}`);
    expect(await linesOf(audit.read())).toEqual(Array.from({ length: 100 }, (_, i) => `line ${i}`));
    await audit.close();
  });

  test('is appended to by the next start, and ends a line that a crash cut short', async () => {
    const first = await open();
    first.add('one');
    await first.close();
    const [name = ''] = await readdir(folder);
    await writeFile(join(folder, name), 'one\ntw');
    const second = await open();
    second.add('three');
    expect(await linesOf(second.read())).toEqual(['one', 'tw', 'three']);
    await second.close();
    expect(await readFile(join(folder, name), 'utf8')).toBe('one\ntw\nthree\n');
  });

  test('goes on in the next file when one is full, and keeps only the newest files', async () => {
    const audit = await open({ fileBytesMax: 30, filesMax: 3 });
    for (let i = 0; i < 8; i += 1) {
      audit.add(`a line of twenty ${String(i).padStart(3, '0')}`);
      await linesOf(audit.read());
    }
    expect((await readdir(folder)).length).toBe(3);
    expect(await linesOf(audit.read())).toEqual([5, 6, 7].map((i) => `a line of twenty 00${i}`));
    await audit.close();
  });

  test('drops what a slow disk cannot take, and says how much', async () => {
    const audit = await open({ bufferedCharsMax: 10 });
    for (const line of ['12345', '67890', 'lost', 'lost too']) audit.add(line);
    const lines = await linesOf(audit.read());
    expect(lines.slice(0, 2)).toEqual(['12345', '67890']);
    expect(JSON.parse(lines[2] ?? '')).toEqual({ at: expect.any(String), lost: 2 });
    audit.add('again');
    expect((await linesOf(audit.read())).slice(3)).toEqual(['again']);
    await audit.close();
  });

  test('does not fail whoever writes to it when the disk does, and tells later', async () => {
    let refuses = true;
    const disk = {
      ...nodeDisk,
      open: async (path: string, how: 'read' | 'write') => {
        const file = await nodeDisk.open(path, how);
        return {
          ...file,
          write: (from: Uint8Array, position: bigint) => {
            if (refuses) throw new Error('ENOSPC');
            return file.write(from, position);
          },
        };
      },
    };
    const audit = await open({ disk });
    audit.add('gone');
    expect(await linesOf(audit.read())).toEqual([]);
    refuses = false;
    audit.add('kept');
    const lines = await linesOf(audit.read());
    expect(lines[0]).toBe('kept');
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ lost: 1 });
    await audit.close();
  });
});

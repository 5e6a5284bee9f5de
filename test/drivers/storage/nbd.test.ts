// Goal: disks served over NBD are read and written exactly; a server that misbehaves ends in an error.
// Method: qemu-nbd where it is installed, and a scripted server on a Unix socket that says what a test wants.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { connectNbd } from '../../../src/drivers/storage/nbd.ts';
import type { Clock } from '../../../src/std/clock.ts';

vi.setConfig({ testTimeout: 60_000 });
const hasQemu = (() => {
  try {
    execFileSync('qemu-nbd', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

let folder: string;
let server: Server | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nbd-'));
});
afterEach(async () => {
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

const given = { network: nodeNetwork, clock: nodeClock };
const connect = (name = 'x', clock: Clock = nodeClock) =>
  connectNbd({ ...given, clock }, { socketPath: join(folder, 's') }, name);

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const greeting = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(3)]);
const optionReply = (type: number, body: Buffer) =>
  Buffer.concat([u64(0x3e889045565a9n), u32(7), u32(type), u32(body.length), body]);
const accepted = (sizeBytes: bigint, flags = 5) =>
  Buffer.concat([
    optionReply(3, Buffer.concat([u16(0), u64(sizeBytes), u16(flags)])),
    optionReply(1, Buffer.alloc(0)),
  ]);

/** Says nothing more, and does not go. */
const silence = Buffer.alloc(0);

/** Says each of `answers` after the client has spoken once more, the first one at once, and goes. */
const serve = async (...answers: readonly Buffer[]): Promise<void> => {
  server = createServer((socket: Socket) => {
    let said = 0;
    const say = (): void => {
      const answer = answers[said];
      said += 1;
      if (answer !== undefined) socket.write(answer);
      if (said >= answers.length && answer !== silence) socket.end();
    };
    socket.on('error', () => {});
    socket.on('data', say);
    say();
  });
  server.listen(join(folder, 's'));
  await once(server, 'listening');
};
const reply = (handle: bigint, error: number, data = Buffer.alloc(0)) =>
  Buffer.concat([u32(0x67446698), u32(error), u64(handle), data]);

describe.skipIf(!hasQemu)('a disk of qemu-nbd (skipped where it is not installed)', () => {
  it('holds what was written, whatever the order, sizes and places', async () => {
    const image = join(folder, 'image');
    const sizeBytes = 3 * 1024 * 1024 + 512;
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, `${sizeBytes}`]);
    const socket = join(folder, 's');
    execFileSync('qemu-nbd', ['--fork', `--socket=${socket}`, '--format=qcow2', '--export-name=x', image]);
    const disk = await connect();
    expect(disk.sizeBytes).toBe(BigInt(sizeBytes));
    const model = Buffer.alloc(sizeBytes);
    const piece = fc
      .tuple(fc.nat(sizeBytes - 1), fc.nat(2_500_000), fc.nat(255), fc.boolean())
      .map(([from, length, byte, write]) => ({ from, to: Math.min(sizeBytes, from + length), byte, write }));
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
        for (const { from, to, byte, write } of pieces) {
          if (write) {
            model.fill(byte, from, to);
            await disk.write(Buffer.alloc(to - from, byte), BigInt(from));
          } else {
            const into = Buffer.alloc(to - from);
            expect(await disk.read(into, BigInt(from))).toBe(to - from);
            expect(into.equals(model.subarray(from, to))).toBe(true);
          }
        }
      }),
      { numRuns: 20 },
    );
    await disk.flush();
    const halves = [0, sizeBytes / 2].map((from) => model.subarray(from, from + sizeBytes / 2));
    await Promise.all(halves.map((half, index) => disk.write(half, BigInt((index * sizeBytes) / 2))));
    const all = Buffer.alloc(sizeBytes + 10);
    expect(await disk.read(all, 0n)).toBe(sizeBytes);
    expect(all.subarray(0, sizeBytes).equals(model)).toBe(true);
    await disk.close();
  });

  it('is refused by another name, and refuses writing when it is for reading', async () => {
    const image = join(folder, 'image');
    execFileSync('qemu-img', ['create', '-q', '-f', 'raw', image, '65536']);
    const args = [
      `--socket=${join(folder, 's')}`,
      '--format=raw',
      '--export-name=x',
      '--read-only',
      '--persistent',
    ];
    const child = spawn('qemu-nbd', [...args, `--pid-file=${join(folder, 'pid')}`, image]);
    try {
      const listening = async (): Promise<void> =>
        connect('y').then(
          () => {},
          (error) => (error.code === 'ENOENT' && /refused/.test(error.message) ? undefined : listening()),
        );
      await listening();
      await expect(connect('other')).rejects.toMatchObject({ code: 'ENOENT' });
      const disk = await connect();
      expect(disk.readOnly).toBe(true);
      await expect(disk.write(Buffer.alloc(512), 0n)).rejects.toThrow(/refused with (EPERM|EINVAL)/);
      expect(await disk.read(Buffer.alloc(512), 0n)).toBe(512);
      await disk.close();
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
});

describe('a server', () => {
  it.each([
    ['speaks another protocol', [Buffer.from('SSH-2.0-OpenSSH_9.2 hello')]],
    ['closes at once', []],
    ['closes in the middle of its greeting', [greeting.subarray(0, 10)]],
    [
      'announces a reply that is too long',
      [greeting, Buffer.concat([u64(0x3e889045565a9n), u32(7), u32(3), u32(1 << 30)])],
    ],
    ['accepts without saying what', [greeting, optionReply(1, Buffer.alloc(0))]],
    [
      'takes only large blocks',
      [greeting, optionReply(3, Buffer.concat([u16(3), u32(4096), u32(4096), u32(4096)]))],
    ],
  ])('that %s is an error at connect', async (_, answers) => {
    await serve(...(answers as Buffer[]));
    await expect(connect()).rejects.toThrow(/nbd: /);
  });

  it('that answers another request, or nonsense, loses the connection', async () => {
    await serve(greeting, accepted(4096n), reply(99n, 0, Buffer.alloc(512)));
    const disk = await connect();
    await expect(disk.read(Buffer.alloc(512), 0n)).rejects.toMatchObject({ code: 'EPROTO' });
    await expect(disk.read(Buffer.alloc(512), 0n)).rejects.toThrow(/nbd: /);
  });

  it('that refuses one request still serves the next', async () => {
    await serve(greeting, accepted(4096n), reply(1n, 28), reply(2n, 0, Buffer.alloc(4, 7)));
    const disk = await connect();
    await expect(disk.read(Buffer.alloc(4), 0n)).rejects.toMatchObject({ code: 'ENOSPC' });
    const into = Buffer.alloc(4);
    expect(await disk.read(into, 0n)).toBe(4);
    expect(into).toEqual(Buffer.alloc(4, 7));
    await disk.close();
  });

  it('is asked for several things at once, and may answer them in any order', async () => {
    const heads: Buffer[] = [];
    const answer = (socket: Socket, head: Buffer): void => {
      const [handle, at] = [head.readBigUInt64BE(8), head.readBigUInt64BE(16)];
      socket.write(reply(handle, at === 8n ? 5 : 0, at === 8n ? undefined : Buffer.alloc(4, Number(at) + 1)));
    };
    await serve(greeting, accepted(4096n), silence);
    server?.on('connection', (socket: Socket) => {
      socket.on('data', (bytes: Buffer) => {
        for (let from = 0; from + 28 <= bytes.length; from += 28) {
          if (bytes.readUInt32BE(from) === 0x25609513) heads.push(bytes.subarray(from, from + 28));
        }
        if (heads.length === 4) for (const head of heads.splice(0).reverse()) answer(socket, head);
      });
    });
    const disk = await connect();
    const pieces = Array.from({ length: 4 }, () => Buffer.alloc(4));
    const reads = await Promise.allSettled(pieces.map((into, index) => disk.read(into, BigInt(index * 4))));
    expect(reads.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(pieces.map(([first]) => first)).toEqual([1, 5, 0, 13]);
  });

  it('that goes away leaves none of what it was asked for unanswered', async () => {
    await serve(greeting, accepted(4096n), Buffer.from('g'));
    const disk = await connect();
    const reads = Array.from({ length: 40 }, () => disk.read(Buffer.alloc(4), 0n));
    for (const read of reads) await expect(read).rejects.toThrow(/nbd: /);
  });

  it('that goes silent is given up at the limit', async () => {
    await serve(greeting, accepted(4096n), silence);
    let expire = (): void => {};
    const clock: Clock = {
      ...nodeClock,
      after: (_, run) => {
        expire = run;
        return () => {};
      },
    };
    const disk = await connect('x', clock);
    const reading = disk.read(Buffer.alloc(4), 0n);
    const failed = expect(reading).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    setImmediate(() => expire());
    await failed;
  });
});

import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client, Pool } from './pool.ts';

// Files that go in and out of a pool, and what that takes.

export const MIB = 1 << 20;
const watchMs = 100;

export const isSame = (one: string, other: string): boolean => {
  try {
    execFileSync('cmp', ['--silent', one, other]);
    return true;
  } catch {
    return false;
  }
};

export const newDisk = async (client: Client, sizeBytes: number): Promise<string> => {
  const rows = (await client.call('SR.get_all_records')) as ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  const [sr] = [...rows].find(([, row]) => row.get('type') === 'file') ?? [];
  if (sr === undefined) throw new Error('The pool has no repository of files');
  const disk = { name_label: 'disk', SR: sr, virtual_size: BigInt(sizeBytes), type: 'user' };
  const how = { sharable: false, read_only: false, other_config: new Map() };
  return (await client.call('VDI.create', new Map(Object.entries({ ...disk, ...how })))) as string;
};

const urlOf = ({ url }: Pool, { session }: Client, path: string): URL =>
  new URL(`${path}&session_id=${session}`, url);

/** `path`: with a query. */
export const upload = async (pool: Pool, client: Client, path: string, file: string): Promise<void> => {
  const whole = createReadStream(file, { highWaterMark: MIB });
  return put(pool, client, path, whole, { 'content-length': (await stat(file)).size });
};

/** Pieces of a disk, each with its place: what is between them stays as it is. */
export const uploadPieces = (
  pool: Pool,
  client: Client,
  path: string,
  pieces: AsyncIterable<readonly [position: number, bytes: Buffer]>,
): Promise<void> => {
  const head = (position: number, length: number): Buffer => {
    const bytes = Buffer.alloc(12);
    bytes.writeBigUInt64LE(BigInt(position));
    bytes.writeUInt32LE(length, 8);
    return bytes;
  };
  const body = async function* (): AsyncGenerator<Buffer> {
    for await (const [position, bytes] of pieces) yield Buffer.concat([head(position, bytes.length), bytes]);
    yield head(0, 0);
  };
  return put(pool, client, `${path}&chunked=true`, Readable.from(body()), {});
};

const put = async (
  pool: Pool,
  client: Client,
  path: string,
  body: Readable,
  headers: Readonly<Record<string, number>>,
): Promise<void> => {
  const sent = request(urlOf(pool, client, path), { method: 'PUT', headers });
  const answered = new Promise<number>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)));
  });
  await pipeline(body, sent);
  if ((await answered) !== 200) throw new Error(`The upload failed: ${await answered}`);
};

export const download = (pool: Pool, client: Client, path: string, file: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const asked = request(urlOf(pool, client, path), (answer) => {
      pipeline(answer, createWriteStream(file, { highWaterMark: MIB })).then(resolve, reject);
    });
    asked.once('error', reject);
    asked.end();
  });

/** Answers the most that the process has held, once it is asked. */
export const watched = (pool: Pool): (() => Promise<number>) => {
  let most = 0;
  const look = async (): Promise<number> => {
    most = Math.max(most, await pool.residentBytes());
    return most;
  };
  const timer = setInterval(() => void look(), watchMs);
  return () => {
    clearInterval(timer);
    return look();
  };
};

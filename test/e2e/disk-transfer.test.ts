// Goal: disk images go in and out for every way in which known clients speak HTTP, and a transfer that is
//   cut says so, and leaves the disk free.
// Method: raw sockets to the built program, byte for byte what the clients send.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { logIn, type Session } from './client.ts';
import { diskUrl, looseEnds, newDisk, newGuest, rowsOf, text, untilEnded, untilState } from './lab.ts';
import { clean, newDataFolder, password, start, type Xenact } from './xenact.ts';

const bytes = 3 << 20;
const image = Buffer.alloc(bytes, 'every byte of it, ');

let data: string;
let xenact: Xenact;
let session: Session;
let vdi: string;
beforeAll(async () => {
  data = await newDataFolder();
  xenact = await start(data, ['--hypervisor', 'sim']);
  session = await logIn(xenact.http);
});
afterAll(async () => {
  await xenact.end('SIGKILL');
  await clean(data);
});
beforeEach(async () => {
  vdi = await newDisk(session, bytes);
});

interface Raw {
  readonly socket: Socket;
  /** Resolves with all that came so far once that passes. */
  until(passes: (seen: string) => boolean): Promise<string>;
  /** Resolves with all that came once the server has closed. */
  readonly whole: Promise<Buffer>;
}

const raw = async (head: readonly string[]): Promise<Raw> => {
  const { port } = new URL(xenact.http);
  // Half-open: closing our side must not close the other.
  const socket = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
  });
  socket.on('error', () => {});
  const whole = new Promise<Buffer>((resolve) => {
    socket.on('end', () => {
      resolve(Buffer.concat(chunks));
      socket.end();
    });
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
  await once(socket, 'connect');
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  const until = async (passes: (seen: string) => boolean): Promise<string> => {
    for (;;) {
      const seen = Buffer.concat(chunks).toString('latin1');
      if (passes(seen)) return seen;
      await Promise.race([
        once(socket, 'data'),
        whole.then(() => {
          throw new Error(`It ended after: ${seen}`);
        }),
      ]);
    }
  };
  return { socket, until, whole };
};

const path = (what: 'import' | 'export', more = ''): string => {
  const url = new URL(diskUrl(xenact, session, what, vdi, more));
  return `${url.pathname}${url.search}`;
};

const newTask = async (): Promise<string> => (await session.call('task.create', 'a transfer', '')) as string;

const contents = async (): Promise<Buffer> =>
  Buffer.from(await (await fetch(diskUrl(xenact, session, 'export', vdi))).arrayBuffer());

const isFree = async (): Promise<void> => {
  expect(await looseEnds(session)).toEqual([]);
  await session.call('VDI.destroy', vdi);
};

describe('an image is taken', () => {
  test('from XenCenter, which speaks HTTP/1.0 and sends nothing before it has seen 200', async () => {
    const task = await newTask();
    const { socket, until, whole } = await raw([
      `PUT ${path('import', `&task_id=${task}`)} HTTP/1.0`,
      `Content-Length: ${bytes}`,
    ]);
    expect(await until((seen) => seen.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.[01] 200 /);
    socket.write(image);
    await whole;
    expect(text(await untilEnded(session, task), 'status')).toBe('success');
    expect((await contents()).equals(image)).toBe(true);
    await isFree();
  });

  test('of HTTP/1.0 without a length, until the client closes its side', async () => {
    const task = await newTask();
    const { socket, until, whole } = await raw([`PUT ${path('import', `&task_id=${task}`)} HTTP/1.0`]);
    await until((seen) => seen.includes('\r\n\r\n'));
    socket.end(image);
    await whole;
    expect(text(await untilEnded(session, task), 'status')).toBe('success');
    expect((await contents()).equals(image)).toBe(true);
    await isFree();
  });

  test('in chunks of HTTP/1.1, whatever their sizes, and the connection goes on', async () => {
    const { socket, until } = await raw([
      `PUT ${path('import')} HTTP/1.1`,
      'Host: 127.0.0.1',
      'Transfer-Encoding: chunked',
    ]);
    for (let from = 0, size = 1; from < bytes; from += size, size = size * 3 + 1) {
      const chunk = image.subarray(from, from + size);
      socket.write(`${chunk.length.toString(16)}\r\n`);
      socket.write(chunk);
      socket.write('\r\n');
    }
    socket.write('0\r\n\r\n');
    expect(await until((seen) => seen.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
    socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await until((seen) => seen.split('HTTP/1.1 200 ').length === 3);
    socket.destroy();
    expect((await contents()).equals(image)).toBe(true);
    await isFree();
  });

  test('as far as it goes from a client that says 1 PiB because it does not know', async () => {
    const { socket, whole } = await raw([
      `PUT ${path('import')} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Content-Length: ${2 ** 50}`,
    ]);
    socket.end(image);
    await whole;
    expect((await contents()).equals(image)).toBe(true);
    await isFree();
  });

  test('only after a probe without a body, as Xen Orchestra sends one, that changes nothing', async () => {
    const probe = await fetch(diskUrl(xenact, session, 'import', vdi), {
      method: 'PUT',
      headers: { 'Content-Length': '0' },
    });
    expect(probe.status).toBe(200);
    expect((await contents()).every((byte) => byte === 0)).toBe(true);
    await isFree();
  });
});

describe('who asks is known', () => {
  const ask = async (headers: Record<string, string>): Promise<number> => {
    const answer = await fetch(`${xenact.http}/export_raw_vdi?vdi=${vdi}`, { headers });
    await answer.arrayBuffer();
    return answer.status;
  };
  const basic = (name: string, secret: string): Record<string, string> => ({
    Authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`,
  });

  test('by name and password, by a cookie, or is told 401', async () => {
    expect(await ask(basic('root', password))).toBe(200);
    expect(await ask({ Cookie: `other=1; session_id=${session.ref}` })).toBe(200);
    expect(await ask({})).toBe(401);
    expect(await ask({ Cookie: 'session_id=OpaqueRef:none' })).toBe(401);
    expect(await ask(basic('root', 'wrong'))).toBe(401);
    await isFree();
  });
});

describe('an image is given', () => {
  test('over HTTP/1.0, and the connection ends with it', async () => {
    await fetch(diskUrl(xenact, session, 'import', vdi), { method: 'PUT', body: image });
    const { whole } = await raw([`GET ${path('export')} HTTP/1.0`]);
    const answer = await whole;
    const head = answer.indexOf('\r\n\r\n');
    expect(answer.subarray(0, head).toString()).toMatch(/^HTTP\/1\.[01] 200 /);
    expect(answer.subarray(head + 4).equals(image)).toBe(true);
    await isFree();
  });

  test('up to where its client goes away, and then its disk is free and its task failed', async () => {
    vdi = await newDisk(session, 64 << 20);
    const task = await newTask();
    const { socket } = await raw([`GET ${path('export', `&task_id=${task}`)} HTTP/1.1`, 'Host: 127.0.0.1']);
    await once(socket, 'data');
    socket.destroy();
    expect(text(await untilEnded(session, task), 'status')).toBe('failure');
    await isFree();
  });
});

describe('a transfer is cancelled by its task', () => {
  test('also when the client neither takes bytes nor leaves', async () => {
    vdi = await newDisk(session, 64 << 20);
    const task = await newTask();
    const { socket, whole } = await raw([
      `GET ${path('export', `&task_id=${task}`)} HTTP/1.1`,
      'Host: 127.0.0.1',
    ]);
    await once(socket, 'data');
    socket.pause();
    await session.call('task.cancel', task);
    expect(text(await untilEnded(session, task), 'status')).toBe('cancelled');
    socket.resume();
    expect((await whole).length).toBeLessThan(64 << 20);
    await isFree();
  });

  test('also when the client neither sends nor leaves', async () => {
    const task = await newTask();
    const { socket, whole } = await raw([
      `PUT ${path('import', `&task_id=${task}`)} HTTP/1.0`,
      `Content-Length: ${bytes}`,
    ]);
    await once(socket, 'data');
    socket.write(image.subarray(0, 100_000));
    await session.call('task.cancel', task);
    expect(text(await untilEnded(session, task), 'status')).toBe('cancelled');
    await whole;
    await isFree();
  });
});

describe('an image that ends early', () => {
  test.each(['1.0', '1.1'])('over HTTP/%s fails its task, and its disk is free', async (version) => {
    const task = await newTask();
    const { socket } = await raw([
      `PUT ${path('import', `&task_id=${task}`)} HTTP/${version}`,
      'Host: 127.0.0.1',
      `Content-Length: ${bytes}`,
    ]);
    socket.write(image.subarray(0, 100_000), () => socket.destroy());
    const ended = await untilEnded(session, task);
    expect(text(ended, 'status')).toBe('failure');
    expect(ended.get('error_info')).toEqual(['VDI_IO_ERROR', expect.stringContaining('send it again')]);
    await isFree();
  });
});

describe('a VM as a file', () => {
  type What = 'import' | 'export' | 'import_metadata' | 'export_metadata';
  const url = (what: What, more: string): string => `${xenact.http}/${what}?session_id=${session.ref}${more}`;
  const exported = async (vm: string, more = '', how: What = 'export'): Promise<Buffer> => {
    const answer = await fetch(url(how, `&ref=${vm}${more}`));
    expect(answer.status).toBe(200);
    return Buffer.from(await answer.arrayBuffer());
  };
  const imported = async (file: Buffer, how: What = 'import', more = ''): Promise<string> => {
    const task = await newTask();
    const put = await fetch(url(how, `&task_id=${task}${more}`), { method: 'PUT', body: file });
    expect(put.status).toBe(200);
    const ended = await untilEnded(session, task);
    const [ref = ''] = /OpaqueRef:[0-9a-f-]+/.exec(text(ended, 'result')) ?? [];
    return ref;
  };

  test('goes out asleep, comes in by its task and wakes with its disk and its memory', async () => {
    const { vm } = await newGuest(xenact, session, 'leaving', image);
    await session.call('VM.start', vm, false, false);
    await session.call('VM.suspend', vm);
    const made = await imported(await exported(vm, '&preserve_power_state=true&use_compression=gzip'));
    await session.call('VM.resume', made, false, false);
    await untilState(session, made, 'Running');
    await session.call('VM.hard_shutdown', made);
    const [drive = ''] = (await session.call('VM.get_VBDs', made)) as string[];
    const disk = (await session.call('VBD.get_VDI', drive)) as string;
    const bytesOf = await fetch(diskUrl(xenact, session, 'export', disk));
    expect(Buffer.from(await bytesOf.arrayBuffer()).equals(image)).toBe(true);
    await isFree();
  });

  test('is fetched by its URL, while it is given there', async () => {
    const { vm } = await newGuest(xenact, session, 'fetched', image);
    const sr = await session.call('VDI.get_SR', vdi);
    const from = url('export', `&ref=${vm}&use_compression=zstd`);
    const [made = ''] = (await session.call('VM.import', from, sr, false, false)) as string[];
    expect(await session.call('VM.get_name_label', made)).toBe('fetched');
    const [drive = ''] = (await session.call('VM.get_VBDs', made)) as string[];
    const disk = (await session.call('VBD.get_VDI', drive)) as string;
    const bytesOf = await fetch(diskUrl(xenact, session, 'export', disk));
    expect(Buffer.from(await bytesOf.arrayBuffer()).equals(image)).toBe(true);
    await isFree();
  });

  test('comes back by its metadata, on another disk where that is said to stand for its own', async () => {
    const { vm, vdi } = await newGuest(xenact, session, 'described', image);
    const file = await exported(vm, '', 'export_metadata');
    await session.call('VM.destroy', vm);
    const other = (await session.call('VDI.copy', vdi, await session.call('VDI.get_SR', vdi))) as string;
    const [old, name] = await Promise.all([vdi, other].map((one) => session.call('VDI.get_uuid', one)));
    expect(await imported(file, 'import_metadata', `&dry_run=true&vdi:${old}=${name}`)).toBe('');
    const made = await imported(file, 'import_metadata', `&vdi:${old}=${name}`);
    const [drive = ''] = (await session.call('VM.get_VBDs', made)) as string[];
    expect(await session.call('VBD.get_VDI', drive)).toBe(other);
    await isFree();
  });

  test('that is cut fails its task by name, and leaves neither VM nor disk', async () => {
    const { vm } = await newGuest(xenact, session, 'staying', image);
    const file = await exported(vm);
    const counts = async (): Promise<readonly number[]> =>
      Promise.all(['VM', 'VDI', 'VBD'].map(async (cls) => (await rowsOf(session, cls)).size));
    const before = await counts();
    const task = await newTask();
    const { socket } = await raw([
      `PUT /import?session_id=${session.ref}&task_id=${task} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Content-Length: ${file.length}`,
    ]);
    socket.write(file.subarray(0, (file.length * 9) / 10), () => socket.destroy());
    const ended = await untilEnded(session, task);
    expect(ended.get('error_info')).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
    expect(await counts()).toEqual(before);
    await isFree();
  });
});

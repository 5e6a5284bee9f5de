import type { HttpAnswer, HttpRequest } from '../drivers/http/http.ts';
import { BodyBroken } from '../drivers/http/http.ts';
import type { OpenVolume } from '../drivers/storage/storage.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import { faultOf } from '../objects/driver-faults.ts';
import type { Caller } from '../objects/implement.ts';
import { machineOf, type Places } from '../objects/places.ts';
import { failTask, succeedTask } from '../objects/tasks.ts';
import { type DiskUse, type DiskWork, useDisk } from '../rules/disk-use.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { Tx } from '../store/view.ts';
import { queryTaskOf } from './call-task.ts';
import type { HttpContext, Route } from './route.ts';

/** A client that does not know how long its stream is says this length and cuts the connection at the end. */
const unknownLength = 1n << 50n;
const blockBytes = 1 << 20;

const imageHeaders = { 'Content-Type': 'application/octet-stream', 'Cache-Control': 'no-cache, no-store' };

type By = Omit<DiskUse, 'task' | 'withdrawn'>;

export interface ImageOptions extends By {
  /** The other hosts of the pool. Absent: this host is alone. */
  readonly others?: {
    readonly catalog: Catalog;
    readonly places: Pick<Places, 'coordinator'>;
    /** By what this process has of a host, or at the address of its HTTPS, where the client is sent. */
    readonly reach: (host: Ref<'host'>) => By | string;
  };
}

/**
 * `/import_raw_vdi` and `/export_raw_vdi`: the bytes of a disk, as a raw image. They are served where the
 * calls of the disk are done; a client that asks another host is told which.
 */
export const imageRoutes = (by: ImageOptions): readonly Route[] => [
  {
    method: 'PUT',
    path: '/import_raw_vdi',
    action: 'put_import_raw_vdi',
    handle: whereItIs(by, put),
  },
  {
    method: 'GET',
    path: '/export_raw_vdi',
    action: 'get_export_raw_vdi',
    handle: whereItIs(by, get),
  },
];

type Transfer = (by: By, request: HttpRequest, answer: HttpAnswer, mover: Mover) => Promise<void>;

/** Does a transfer for whoever may, or says which host does. */
const whereItIs =
  (options: ImageOptions, transfer: Transfer) =>
  async (request: HttpRequest, answer: HttpAnswer, context: HttpContext): Promise<void> => {
    const caller = await context.caller();
    const by = placeOf(options, request);
    if (typeof by === 'string') return redirect(request, answer, by);
    await transfer(by, request, answer, { caller, context });
  };

const put: Transfer = async (by, request, answer, mover) => {
  // An empty PUT asks whether this is the right host; the image follows in another.
  if (request.contentLength() === 0n && request.query.get('task_id') === null) {
    answer.send(200, imageHeaders, []);
    return;
  }
  await tracked(by, request, mover, async (use) => {
    const vdi = target(by.store, request);
    checkFormat(request);
    const { virtual_size } = by.store.committed.require('VDI', vdi);
    const length = request.contentLength() === unknownLength ? undefined : request.contentLength();
    if (length !== undefined && length > virtual_size) {
      throw new Fault('VDI_TOO_SMALL', [vdi, String(length)]);
    }
    await useDisk(use, vdi, 'write', datapathOf(by), async (open, work) => {
      // Clients of HTTP/1.0 send their image only after they have seen this.
      if (request.httpVersion === '1.0') answer.early(200, imageHeaders);
      await receive(request, vdi, open, work);
    });
  });
  // Where 200 was said early, this is the end of it.
  answer.send(200, imageHeaders, []);
};

const get: Transfer = async (by, request, answer, mover) => {
  await tracked(by, request, mover, async (use) => {
    const vdi = target(by.store, request);
    checkFormat(request);
    const last = await useDisk(use, vdi, 'read', datapathOf(by), (open, work) =>
      send(request, answer, open, work),
    );
    // Only now the disk is closed: a client that has all bytes may destroy it at once.
    await last();
  });
};

/**
 * Where the disk of a request is. What is wrong with the request is found, and told to its task, where it is
 * done.
 */
const placeOf = (options: ImageOptions, request: HttpRequest): By | string => {
  const { store, services, others } = options;
  const vdi = named(store, request);
  if (vdi === undefined || others === undefined) return options;
  const host = machineOf(others.catalog, others.places, store.committed, ['VDI', vdi]);
  return host === services.host ? options : others.reach(host);
};

/** The task of the request is left for the host that the client is sent to. */
const redirect = ({ path, query }: HttpRequest, answer: HttpAnswer, authority: string): void =>
  answer.send(302, { ...imageHeaders, Location: `https://${authority}${path}?${query}` }, []);

const datapathOf = ({ services }: By): string => `http/${services.random.uuid()}`;

const nameIn = ({ query }: HttpRequest): string | null => query.get('vdi') ?? query.get('vdi_uuid');

/** The disk that `vdi` names, by reference or by uuid, if there is one. */
const named = ({ committed }: Store, request: HttpRequest): Ref<'VDI'> | undefined => {
  const name = nameIn(request) ?? '';
  return committed.get('VDI', name as Ref<'VDI'>) === undefined
    ? committed.byUuid('VDI', name)
    : (name as Ref<'VDI'>);
};

const target = (store: Store, request: HttpRequest): Ref<'VDI'> => {
  const vdi = named(store, request);
  if (vdi !== undefined) return vdi;
  const name = nameIn(request);
  if (name === null) throw new Fault('INVALID_VALUE', ['vdi', 'Name the disk: ?vdi=<reference or uuid>']);
  throw new Fault('HANDLE_INVALID', ['VDI', name]);
};

const checkFormat = (request: HttpRequest): void => {
  const format = request.query.get('format') ?? 'raw';
  if (format !== 'raw') throw new Fault('INVALID_VALUE', ['format', `${format}: only raw is built`]);
  for (const option of ['base', 'chunked']) {
    const value = request.query.get(option);
    if (value !== null && value !== 'false')
      throw new Fault('NOT_IMPLEMENTED', [`${request.path}?${option}`]);
  }
};

/** Writes the body to the disk in whole blocks. A body shorter than the disk leaves the rest as it is. */
const receive = async (
  request: HttpRequest,
  vdi: Ref<'VDI'>,
  open: OpenVolume,
  { progress, signal }: DiskWork,
): Promise<void> => {
  const block = Buffer.alloc(blockBytes);
  let filled = 0;
  let position = 0n;
  const flush = async (): Promise<void> => {
    if (position + BigInt(filled) > open.sizeBytes)
      throw new Fault('VDI_TOO_SMALL', [vdi, String(open.sizeBytes)]);
    if (filled > 0) await open.write(block.subarray(0, filled), position);
    position += BigInt(filled);
    filled = 0;
    progress(Number(position) / Number(open.sizeBytes || 1n));
  };
  try {
    for await (const chunk of unlessAborted(request.chunks(), signal)) {
      for (let from = 0; from < chunk.length; ) {
        const count = Math.min(chunk.length - from, blockBytes - filled);
        block.set(chunk.subarray(from, from + count), filled);
        filled += count;
        from += count;
        if (filled === blockBytes) await flush();
      }
    }
  } catch (error) {
    if (!(error instanceof BodyBroken)) throw error;
    // Without a length of its own the image ends where the client stops.
    if (request.contentLength() !== unknownLength) {
      throw new Fault('VDI_IO_ERROR', [
        `The image ended after ${position + BigInt(filled)} bytes; send it again`,
      ]);
    }
  }
  await flush();
};

/** The items until the signal is aborted, also while there is none for long. */
async function* unlessAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  const next = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      if (signal.aborted) return abort();
      // One listener for each item: one promise for all of them would remember every item that raced it.
      signal.addEventListener('abort', abort, { once: true });
      const release = (): void => signal.removeEventListener('abort', abort);
      iterator.next().then(resolve, reject).finally(release);
    });
  try {
    for (let item = await next(); item.done !== true; item = await next()) yield item.value;
  } finally {
    // Not awaited: what it waits for comes or ends with the connection.
    iterator.return?.().catch(() => undefined);
  }
}

/** Sends the disk but for its last block, and answers what sends that one. */
const send = async (
  request: HttpRequest,
  answer: HttpAnswer,
  open: OpenVolume,
  { progress, signal }: DiskWork,
): Promise<() => Promise<void>> => {
  const body = answer.begin(200, { ...imageHeaders, 'Content-Length': String(open.sizeBytes) });
  // A client that takes nothing would otherwise hold what was cancelled.
  signal.addEventListener('abort', body.fail, { once: true });
  try {
    let held: Uint8Array = new Uint8Array(0);
    for (let position = 0n; position < open.sizeBytes; position += BigInt(held.length)) {
      signal.throwIfAborted();
      request.gone().throwIfAborted();
      if (held.length > 0) await body.write(held);
      held = await readBlock(open, position);
      progress(Number(position) / Number(open.sizeBytes));
    }
    return async () => {
      if (held.length > 0) await body.write(held);
      await body.end();
    };
  } catch (error) {
    // The head is out: a connection that is cut is the only way to say that bytes are missing.
    body.fail();
    throw error;
  }
};

const readBlock = async (open: OpenVolume, position: bigint): Promise<Uint8Array> => {
  const left = open.sizeBytes - position;
  const block = Buffer.allocUnsafe(left < BigInt(blockBytes) ? Number(left) : blockBytes);
  const count = await open.read(block, position);
  if (count === 0) throw new Fault('VDI_IO_ERROR', [`The disk ends after ${position} bytes`]);
  return block.subarray(0, count);
};

/** Whoever moves an image, and may go on with it. */
interface Mover {
  readonly caller: Caller;
  readonly context: HttpContext;
}

/** Runs under the client's task where it named one, and gives that task its final state. */
const tracked = async (
  by: By,
  request: HttpRequest,
  { caller, context }: Mover,
  run: (use: DiskUse) => Promise<void>,
): Promise<void> => {
  const task = queryTaskOf(by.store, caller, request.query);
  const endTask = async (final: (tx: Tx, task: Ref<'task'>) => void): Promise<void> => {
    if (task !== undefined) await by.store.commit((tx) => final(tx, task));
  };
  const { store, objects, services } = by;
  try {
    await run({ store, objects, services, withdrawn: context.withdrawn(), ...(task && { task }) });
  } catch (error) {
    const about = {
      ref: request.query.get('vdi') ?? '',
      task: task ?? nullRef,
      vmOf: (uuid: string) => uuid,
    };
    const fault = faultOf(error, about);
    await endTask((tx, named) => failTask(tx, named, services, fault));
    throw fault;
  }
  await endTask((tx, named) => succeedTask(tx, named, services, ''));
};

import { type Struct, struct, type Value } from '../../src/std/value.ts';
import { type Repository, type Run, Skipped, Unexpected } from './scenario.ts';
import {
  type Answered,
  bytesOf,
  nullRef,
  Refused,
  type Row,
  rowOf,
  rowsOf,
  textIn,
  textsIn,
} from './server.ts';

// What scenarios make, and take away again when they are over.

export const mib = 1 << 20;
export const gib = 1 << 30;

const gone = (error: unknown): void => {
  if (!(error instanceof Refused) || error.code !== 'HANDLE_INVALID') throw error;
};

/** Destroys the disk when the scenario is over; one that is gone by then is as good. */
export const discard = (run: Run, vdi: string): string => {
  run.later(() => run.server.call('VDI.destroy', vdi).catch(gone));
  return vdi;
};

export const diskRecord = (sr: string, fields: Readonly<Record<string, Value>> = {}): Struct =>
  struct({
    name_label: 'quicktest',
    name_description: 'made by quicktest',
    SR: sr,
    virtual_size: BigInt(4 * mib),
    type: 'user',
    sharable: false,
    read_only: false,
    xenstore_data: new Map(),
    sm_config: new Map(),
    tags: [],
    other_config: new Map(),
    ...fields,
  });

export const newDisk = async (
  run: Run,
  sr: string,
  fields: Readonly<Record<string, Value>> = {},
): Promise<string> => discard(run, String(await run.server.call('VDI.create', diskRecord(sr, fields))));

/** A host that has the repository attached, and its own domain. */
export const hostOf = async (
  { server }: Run,
  { row }: Repository,
): Promise<{ readonly host: string; readonly domain: string; readonly pbd: string }> => {
  for (const pbd of textsIn(row, 'PBDs')) {
    const found = await rowOf(server, 'PBD', pbd);
    if (found.get('currently_attached') !== true) continue;
    const host = textIn(found, 'host');
    return { host, domain: String(await server.call('host.get_control_domain', host)), pbd };
  }
  throw new Skipped('no host has the repository attached');
};

export const drive = (vm: string, vdi: string, fields: Readonly<Record<string, Value>> = {}): Struct =>
  struct({
    VM: vm,
    VDI: vdi,
    userdevice: 'autodetect',
    bootable: false,
    mode: 'RW',
    type: 'Disk',
    unpluggable: true,
    empty: false,
    other_config: new Map(),
    qos_algorithm_type: '',
    qos_algorithm_params: new Map(),
    ...fields,
  });

export const newDrive = async (run: Run, record: Struct): Promise<string> => {
  const vbd = String(await run.server.call('VBD.create', record));
  run.later(() => run.server.call('VBD.destroy', vbd).catch(gone));
  return vbd;
};

/** Puts the disk into a host itself; what is answered takes it out again. */
export const inHost = async (
  run: Run,
  domain: string,
  vdi: string,
  mode: 'RO' | 'RW' = 'RW',
): Promise<{ readonly vbd: string; takeOut(): Promise<void> }> => {
  const { server } = run;
  const vbd = await newDrive(run, drive(domain, vdi, { mode }));
  await server.call('VBD.plug', vbd);
  let isIn = true;
  const takeOut = async (): Promise<void> => {
    if (isIn) await server.call('VBD.unplug', vbd);
    isIn = false;
    await server.call('VBD.destroy', vbd).catch(gone);
  };
  run.later(takeOut);
  return { vbd, takeOut };
};

export const templateOf = async ({ server }: Run): Promise<string> => {
  for (const [ref, row] of await rowsOf(server, 'VM')) {
    if (row.get('is_a_template') === true && textIn(row, 'name_label').startsWith('Other install media'))
      return ref;
  }
  throw new Skipped('no template named Other install media');
};

const remove = async ({ server }: Run, vm: string): Promise<void> => {
  const row = await rowOf(server, 'VM', vm).catch(gone);
  if (row === undefined) return;
  if (textIn(row, 'power_state') !== 'Halted') await server.call('VM.hard_shutdown', vm);
  for (const snapshot of textsIn(row, 'snapshots')) await remove({ server } as Run, snapshot);
  const owned = await Promise.all(textsIn(row, 'VBDs').map((vbd) => rowOf(server, 'VBD', vbd)));
  await server.call('VM.destroy', vm);
  for (const one of owned) {
    if (textIn(one, 'type') !== 'Disk' || textIn(one, 'VDI') === nullRef) continue;
    await server.call('VDI.destroy', textIn(one, 'VDI')).catch(gone);
  }
};

/** Removed when the scenario is over, with its disks and its snapshots. */
export const newVm = async (run: Run, name: string): Promise<string> => {
  const { server } = run;
  const vm = String(await server.call('VM.clone', await templateOf(run), `quicktest ${name}`));
  run.later(() => remove(run, vm));
  await server.call('VM.provision', vm);
  return vm;
};

export const smallMemory = async ({ server }: Run, vm: string, bytes = 128 * mib): Promise<void> => {
  const memory = BigInt(bytes);
  await server.call('VM.set_memory_limits', vm, memory, memory, memory, memory);
};

/** The first state of the row that passes, as events tell of it. */
export const until = async (
  { server }: Run,
  cls: string,
  ref: string,
  passes: (row: Row) => boolean,
  withinMs: number,
): Promise<Row> => {
  const endsMs = Date.now() + withinMs;
  for (let token = ''; Date.now() < endsMs; ) {
    const batch = (await server.call('event.from', [`${cls}/${ref}`], token, 5)) as Row;
    for (const event of batch.get('events') as readonly Row[]) {
      const row = event.get('snapshot');
      if (event.get('ref') === ref && row !== undefined && passes(row as Row)) return row as Row;
    }
    token = textIn(batch, 'token');
  }
  throw new Unexpected(`${cls} ${ref} was not as expected within ${withinMs / 1000} s`);
};

const open: readonly string[] = ['pending', 'cancelling'];

/** Answers the task as it ended. */
export const ended = (run: Run, task: string, withinMs = 300_000): Promise<Row> =>
  until(run, 'task', task, (row) => !open.includes(textIn(row, 'status')), withinMs);

/** The reference that an asynchronous call answered. */
export const resultOf = async (run: Run, task: string): Promise<string> => {
  const row = await ended(run, task);
  await run.server.call('task.destroy', task);
  if (textIn(row, 'status') === 'cancelled') throw new Skipped('the task was cancelled');
  if (textIn(row, 'status') !== 'success')
    throw new Unexpected(`the task failed: ${textsIn(row, 'error_info')}`);
  const [, ref] = /<value>(?:<string>)?([^<]*)/.exec(textIn(row, 'result')) ?? [];
  if (ref === undefined) throw new Unexpected(`a reference was expected, not ${textIn(row, 'result')}`);
  return ref;
};

export type Bytes = () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How servers say that they do not know the format of an image. */
const formatUnknown = /INVALID_VALUE\(format|Unknown format/;

const refusedBody = async (answer: Answered, what: string): Promise<never> => {
  const [line = ''] = (await bytesOf(answer)).toString('utf8').split('\n');
  if (formatUnknown.test(line)) throw new Skipped('the server does not know the format');
  throw new Unexpected(`${what} was answered ${answer.status}: ${line.slice(0, 200)}`);
};

/** Writes the bytes to the disk; rejects where the request or its task fails. */
export const put = async (
  run: Run,
  vdi: string,
  body: Bytes,
  more = '',
  sizeBytes?: number,
): Promise<void> => {
  const { server } = run;
  const task = String(await server.call('task.create', 'quicktest import', ''));
  run.later(() => server.call('task.destroy', task).catch(gone));
  const path = `/import_raw_vdi?session_id=${server.session}&task_id=${task}&vdi=${vdi}${more}`;
  const headers = sizeBytes === undefined ? {} : { 'content-length': String(sizeBytes) };
  const answer = await server.ask({ method: 'PUT', path, headers, body });
  if (answer.status !== 200) await refusedBody(answer, 'the import');
  await bytesOf(answer);
  const row = await ended(run, task);
  if (textIn(row, 'status') !== 'success')
    throw new Unexpected(`the import failed: ${textsIn(row, 'error_info').join()}`);
};

export const get = async ({ server }: Run, vdi: string, more = ''): Promise<Answered> => {
  const path = `/export_raw_vdi?session_id=${server.session}&vdi=${vdi}${more}`;
  const answer = await server.ask({ method: 'GET', path });
  return answer.status === 200 ? answer : refusedBody(answer, 'the export');
};

/** What a driver's look at a disk must not change. */
const kept: readonly string[] = [
  'cbt_enabled',
  'is_a_snapshot',
  'location',
  'managed',
  'name_description',
  'name_label',
  'snapshot_of',
  'snapshot_time',
  'virtual_size',
];

const text = (value: Value | undefined): string =>
  JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item));

const keptOf = (row: Row, fields: readonly string[]): string =>
  fields.map((field) => `${field}=${text(row.get(field))}`).join(' ');

/** Asks the storage to look at the object again, which must not change what its row says. */
export const updates = async ({ server }: Run, cls: 'VDI' | 'SR', ref: string): Promise<void> => {
  const fields = cls === 'VDI' ? kept : ['name_label', 'name_description'];
  const before = keptOf(await rowOf(server, cls, ref), fields);
  await server.call(`${cls}.update`, ref);
  const after = keptOf(await rowOf(server, cls, ref), fields);
  if (before !== after) throw new Unexpected(`${cls}.update changed ${before} to ${after}`);
};

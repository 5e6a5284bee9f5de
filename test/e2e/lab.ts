import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Struct, Value } from '../../src/std/value.ts';
import type { Session } from './client.ts';
import { processesOf, type Xenact } from './xenact.ts';

// What tests of a whole pool do again and again: make VMs and disks, wait for a state by events, tell
// which process is which.

export type Row = ReadonlyMap<string, Value>;

export const text = (row: Value | undefined, field: string): string => String((row as Row).get(field));

const one = async (session: Session, cls: string, name: string): Promise<string> => {
  const [ref] = (await session.call(`${cls}.get_by_name_label`, name)) as string[];
  if (ref === undefined) throw new Error(`There is no ${cls} named ${name}`);
  return ref;
};

export const defaultSr = async (session: Session): Promise<string> => {
  const [pool] = (await session.call('pool.get_all')) as string[];
  return (await session.call('pool.get_default_SR', pool as string)) as string;
};

const struct = (fields: Readonly<Record<string, Value>>): Struct => new Map(Object.entries(fields));

/** What VDI.create is given. */
export const diskRecord = async (
  session: Session,
  bytes: number,
  fields: Readonly<Record<string, Value>> = {},
): Promise<Struct> =>
  struct({
    name_label: 'a disk',
    name_description: '',
    SR: fields['SR'] ?? (await defaultSr(session)),
    virtual_size: BigInt(bytes),
    type: 'user',
    sharable: false,
    read_only: false,
    other_config: new Map(),
    ...fields,
  });

export const newDisk = async (...disk: Parameters<typeof diskRecord>): Promise<string> =>
  (await disk[0].call('VDI.create', await diskRecord(...disk))) as string;

export const newDrive = async (session: Session, vm: string, vdi: string, device = '0'): Promise<string> => {
  const drive = struct({ VM: vm, VDI: vdi, userdevice: device, bootable: true, mode: 'RW', type: 'Disk' });
  const rest = struct({
    empty: false,
    other_config: new Map(),
    qos_algorithm_type: '',
    qos_algorithm_params: new Map(),
  });
  return (await session.call('VBD.create', new Map([...drive, ...rest]))) as string;
};

export const diskUrl = (
  { http }: Pick<Xenact, 'http'>,
  session: Session,
  what: 'import' | 'export',
  vdi: string,
  more = '',
) => `${http}/${what}_raw_vdi?session_id=${session.ref}&vdi=${vdi}${more}`;

/** All of a disk as one of VDI.get_nbd_info serves it; by qemu-img, with files in `folder`. */
export const readOverNbd = async (folder: string, server: Row): Promise<Buffer> => {
  const [address, port, name, subject] = ['address', 'port', 'exportname', 'subject'].map((key) =>
    text(server, key),
  );
  await writeFile(join(folder, 'ca-cert.pem'), text(server, 'cert'));
  const trust = `tls-creds-x509,id=tls,dir=${folder},endpoint=client,verify-peer=on,sanity-check=off`;
  const at = `server.type=inet,server.host=${address},server.port=${port},tls-creds=tls`;
  const from = `driver=nbd,${at},tls-hostname=${subject},export=${name}`;
  const out = join(folder, 'read.raw');
  const args = ['convert', '--object', trust, '--image-opts', '-O', 'raw', from, out];
  await promisify(execFile)('qemu-img', args);
  return readFile(out);
};

/** A VM without disks that would boot from one. */
export const newVm = async (session: Session, name: string): Promise<string> => {
  const template = await one(session, 'VM', 'Other install media');
  const vm = (await session.call('VM.clone', template, name)) as string;
  await session.call('VM.provision', vm);
  await session.call('VM.set_HVM_boot_params', vm, struct({ order: 'c' }));
  const memory = 32n << 20n;
  await session.call('VM.set_memory_limits', vm, memory, memory, memory, memory);
  return vm;
};

/** A VM with one disk that holds this image. */
export const newGuest = async (
  xenact: Xenact,
  session: Session,
  name: string,
  image: Uint8Array,
): Promise<{ readonly vm: string; readonly vdi: string }> => {
  const vm = await newVm(session, name);
  const vdi = await newDisk(session, image.length);
  await newDrive(session, vm, vdi);
  const put = await fetch(diskUrl(xenact, session, 'import', vdi), { method: 'PUT', body: image });
  if (put.status !== 200) throw new Error(`The disk was not taken: ${put.status} ${await put.text()}`);
  return { vm, vdi };
};

/** Resolves with the first state of the row that passes, as events tell of it. */
export const until = async (
  session: Session,
  cls: string,
  ref: string,
  passes: (row: Row) => boolean,
): Promise<Row> => {
  let token = '';
  for (;;) {
    const batch = (await session.call('event.from', [`${cls}/${ref}`], token, 20)) as Row;
    for (const event of batch.get('events') as readonly Row[]) {
      const row = event.get('snapshot');
      if (event.get('ref') === ref && row !== undefined && passes(row as Row)) return row as Row;
    }
    token = batch.get('token') as string;
  }
};

export const untilState = (session: Session, vm: string, state: string): Promise<Row> =>
  until(session, 'VM', vm, (row) => row.get('power_state') === state);

/** Resolves with the task once it has its final state. */
export const untilEnded = (session: Session, task: string): Promise<Row> =>
  until(session, 'task', task, (row) => !['pending', 'cancelling'].includes(String(row.get('status'))));

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
};

const named = (data: string, name: string): readonly number[] =>
  processesOf(data).filter((pid) => commandOf(pid).includes(name));

export const emulatorsOf = (data: string): readonly number[] => named(data, 'qemu-system');

export const daemonOf = (data: string): number => {
  const [pid] = named(data, 'daemons/xenopsd/main.js');
  if (pid === undefined) throw new Error('No hypervisor daemon runs');
  return pid;
};

/** Rows of a class by reference. */
export const rowsOf = async (session: Session, cls: string): Promise<ReadonlyMap<string, Row>> =>
  (await session.call(`${cls}.get_all_records`)) as ReadonlyMap<string, Row>;

/** Tasks that a host begins by itself, whenever it finds something to do. */
const ownWork: ReadonlySet<string> = new Set(['SR.collapse']);

const settledMsMax = 40_000;

/**
 * What is still open or marked as busy after a restart or a fault, but by the hosts' own work, once all has
 * settled or had its time: hosts end things beside whoever asks, so one moment says nothing.
 */
export const looseEnds = async (session: Session): Promise<readonly string[]> => {
  const untilMs = performance.now() + settledMsMax;
  for (;;) {
    const found = await openNow(session);
    if (found.length === 0 || performance.now() > untilMs) return found;
    await pause(100);
  }
};

const openNow = async (session: Session): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const [ref, task] of await rowsOf(session, 'task')) {
    const isOpen = ['pending', 'cancelling'].includes(text(task, 'status'));
    if (isOpen && !ownWork.has(text(task, 'name_label')))
      found.push(`task ${text(task, 'name_label')} ${ref}`);
  }
  for (const cls of ['VM', 'VBD', 'VDI', 'VIF', 'SR', 'host', 'pool', 'network']) {
    for (const [ref, row] of await rowsOf(session, cls)) {
      const operations = row.get('current_operations') as Row;
      if (operations.size > 0) found.push(`${cls} ${ref}: ${[...operations.values()].join()}`);
    }
  }
  return found;
};

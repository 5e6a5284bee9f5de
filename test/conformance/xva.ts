import { createHash } from 'node:crypto';
import { classes } from '../../actors/index.ts';
import { tarEnd, tarHead } from '../../src/codec/tar.ts';
import { xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import { blockSum, packingOf } from '../../src/codec/xva.ts';
import type { Type } from '../../src/model/types.ts';
import { imageBytes } from '../../src/rules/images/image-bytes.ts';
import { disksGiven, disksTaken, tarFile } from '../../src/rules/xva/disks.ts';
import { tarEntries } from '../../src/rules/xva/entries.ts';
import { refusingXva } from '../../src/rules/xva/faults.ts';
import { type FieldsOf, ovaObjects } from '../../src/rules/xva/ova.ts';
import { deviceKinds, exportedVms, type XvaWanted } from '../../src/rules/xva/reached.ts';
import type { Value } from '../../src/std/value.ts';
import { schemasOf } from '../../src/store/schema.ts';
import { arriving, type MemoryDisk, memoryDisk } from '../rules/images/memory-disk.ts';
import type { Case } from './cases.ts';
import { against, byCall, mapOf, outcome, skip } from './subject.ts';
import { type Rows, viewOfRows } from './vm-rows.ts';
import { checksumPolicy, expectedDisks } from './xva-rules.ts';

const signal = new AbortController().signal;
const tell = (): void => {};

export const joined = async (pieces: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
};

interface Extent {
  readonly length: number;
  readonly flags: number;
}

/** A disk that says where it has something as the case has it: holes and zeros have flags. */
const diskOf = async ({ virtual_size, fill, source, extents }: Case['given']): Promise<MemoryDisk> => {
  const disk = memoryDisk(BigInt(virtual_size), source === 'raw' && virtual_size > 1 << 26);
  for (const { offset, length, byte } of fill) await disk.write(Buffer.alloc(length, byte), BigInt(offset));
  if (source !== 'nbd') return disk;
  const said = (extents as readonly Extent[]).map(({ length, flags }) => ({
    lengthBytes: BigInt(length),
    zero: flags !== 0,
  }));
  return { ...disk, extents: async () => said };
};

/** Every entry as cases have it: its name, its size, and the text of a sum. */
const entriesIn = async (file: Buffer): Promise<unknown> => {
  const entries = tarEntries(imageBytes(arriving(file)));
  const all: (readonly [string, number, string | null])[] = [];
  for (let entry = await entries.peek(); entry !== undefined; entry = await entries.peek()) {
    const bytes = await entries.take(1 << 24);
    all.push([entry.name, entry.sizeBytes, entry.name.endsWith('.xxhash') ? bytes.toString() : null]);
  }
  return all;
};

const write = async ({ given }: Case): Promise<unknown> => {
  const disks = given['disks'] as readonly Case['given'][];
  if (disks.some(({ source }) => source === 'vhd'))
    return skip('no storage here keeps its disks as VHD files');
  if (disks.some((disk) => disk['idle_at'] !== undefined))
    return skip('blocks of nothing are read, and never written');
  const parts = [tarFile('ova.xml', Buffer.alloc(given['ova.xml length']))];
  const give = disksGiven();
  for (const disk of [...disks].sort((one, other) => (one['id'] < other['id'] ? -1 : 1))) {
    parts.push(await joined(give({ id: disk['id'], disk: await diskOf(disk), tell, signal })));
  }
  const file = Buffer.concat([...parts, tarEnd()]);
  return {
    'entries [name, size, content if a checksum]': await entriesIn(file),
    'file length': file.length,
  };
};

const read = async ({ given, then }: Case): Promise<unknown> => {
  const entries = given['entries after ova.xml [name, size, byte or content]'] as [string, number, any][];
  const files = entries.map(async ([name, size, content]) =>
    tarFile(name, typeof content === 'string' ? Buffer.from(content) : Buffer.alloc(size, content)),
  );
  const end = given['then'] === 'end of stream' ? [] : [tarEnd()];
  const file = Buffer.concat([...(await Promise.all(files)), ...end]);
  const taking = disksTaken({
    entries: tarEntries(imageBytes(arriving(file))),
    inline: given['export_vsn'] >= 2,
    force: given['force'],
    isBlank: true,
  });
  const listed = given['disks in ova.xml'] as { id: string; virtual_size: number }[];
  const writes: unknown[] = [];
  const found = await outcome(() =>
    refusingXva(async () => {
      for (const { id, virtual_size } of listed.sort((one, other) => (one.id < other.id ? -1 : 1))) {
        const disk = memoryDisk(BigInt(virtual_size));
        const noting: MemoryDisk = {
          ...disk,
          write: async (bytes, position) => {
            writes.push([id, Number(position), bytes.length, bytes[0]]);
          },
        };
        await taking.take({ id, sizeBytes: disk.sizeBytes, disk: noting, tell, signal });
      }
      return { 'writes [id, offset, length, byte]': writes };
    }),
  );
  const { error } = found as { error?: readonly string[] };
  if (error?.[0] === 'IMPORT_ERROR') return against([error[0], error.length], [then['error']?.[0], 2]);
  // What is zeros in the file is zeros on a new disk already.
  const expected = then['writes [id, offset, length, byte]'] as readonly (readonly unknown[])[] | undefined;
  return expected === undefined
    ? found
    : against(found, { 'writes [id, offset, length, byte]': expected.filter(([, , , byte]) => byte !== 0) });
};

const head = ({ given: { name, size, mtime } }: Case): unknown => {
  const bytes = tarHead(name, size, mtime);
  const text = (from: number, to: number): string => bytes.toString('latin1', from, to);
  return {
    mode: text(100, 107),
    'uid, gid': text(108, 115),
    size: text(124, 135),
    mtime: text(136, 147),
    'checksum (decimal)': Number.parseInt(text(148, 155), 8),
    'checksum field (8 bytes)': text(148, 156),
    'type byte': bytes[156],
    magic: text(257, 265).replaceAll('\0', ''),
    'sha1 of the 512 bytes': createHash('sha1').update(bytes).digest('hex'),
  };
};

const sums = async ({ given: { data } }: Case): Promise<unknown> => {
  const bytes = data.text === undefined ? Buffer.alloc(data.length, data.byte) : Buffer.from(data.text);
  return { '.xxhash': await blockSum('.xxhash', bytes), '.checksum': await blockSum('.checksum', bytes) };
};

const schemas = schemasOf(classes);
const fieldsOf: FieldsOf = (cls) => schemas.get(cls)?.cls.fields ?? {};

/** A value of a case as rows have it. */
const asRow = (type: Type<unknown> | undefined, value: any): unknown => {
  if (type?.kind === 'map') return mapOf(value);
  return type?.kind === 'int' ? BigInt(value) : value;
};

/** Rows of a pool that a case describes, each called by its key. */
const rowsOf = (pool: Readonly<Record<string, Record<string, any>>>): Rows => {
  const rows: Rows = {};
  for (const [ref, { class: cls = '', ...given }] of Object.entries(pool)) {
    const fields = Object.entries(given).map(([name, value]) => [
      name,
      asRow(fieldsOf(cls as never)[name]?.type, value),
    ]);
    const secret = cls === 'VTPM' ? { contents: `${ref} contents` } : {};
    rows[cls] = { ...rows[cls], [ref]: { ...Object.fromEntries(fields), ...secret } };
    if (cls === 'VTPM') {
      rows['secret'] = { ...rows['secret'], [secret.contents as string]: { value: given['content'] } };
    }
  }
  return rows;
};

const isTrue = (word: string | undefined, otherwise: boolean): boolean =>
  word === undefined ? otherwise : word === 'true';

/** An id of the file, or one that no object of it has, as the object that it is: null where there is none. */
const named = (value: any, objects: readonly (readonly [string, string, string])[]): unknown => {
  if (Array.isArray(value)) return value.map((one) => named(one, objects));
  if (value instanceof Map) return named(Object.fromEntries(value), objects);
  // Cases write an empty map as an empty set.
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return [];
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, named(one, objects)]));
  if (typeof value !== 'string' || !value.startsWith('Ref:')) return value;
  return objects.find(([, id]) => id === value)?.[2] ?? 'OpaqueRef:NULL';
};

/** Numbers of ids are a writer's own: what is compared is which object is where. */
const description = ({ given: { pool }, when: { path, query }, then }: Case): unknown => {
  const isMetadata = path === '/export_metadata';
  const wanted: XvaWanted = {
    vms: [query.ref],
    preserve: isMetadata || isTrue(query.preserve_power_state, false),
    snapshots: isMetadata && isTrue(query.export_snapshots, true),
    without: deviceKinds.filter((kind) => query.excluded_device_types?.toUpperCase().includes(kind)),
    parents: isTrue(query.include_vhd_parents, false),
  };
  const objects = ovaObjects(viewOfRows(rowsOf(pool)), fieldsOf, wanted);
  const ids = objects.map(({ cls, id, ref }) => [cls, id, ref as string] as const);
  const theirs = then['objects [class, id, object]'] as readonly (readonly [string, string, string])[];
  const expected = Object.entries(then['fields'] as Record<string, Record<string, unknown>>);
  const shown = (list: typeof theirs) => ({
    classes: list.map(([cls]) => cls),
    objects: list.map(([cls, , key]) => `${cls} ${key}`).toSorted(),
  });
  const recordOf = (key: string) => objects.find(({ ref }) => ref === key)?.record ?? {};
  const nameIn = (name: string): string => name.replace("vTPM'_", '');
  const fields = expected.map(([key, record]) =>
    named(Object.fromEntries(Object.keys(record).map((name) => [name, recordOf(key)[nameIn(name)]])), ids),
  );
  return against(
    { ...shown(ids), fields },
    { ...shown(theirs), fields: expected.map(([, record]) => named(record, theirs)) },
  );
};

const exportedOnes = ({ given: { VMs }, when: { query } }: Case): unknown => {
  const rows = rowsOf(VMs);
  const zero = Object.keys(VMs).find((key) => VMs[key]['is dom0']);
  rows['host'] = { host: { control_domain: zero } };
  return { VMs: exportedVms(viewOfRows(rows), isTrue(query.include_dom0, true)) };
};

const encode = ({ given: { value } }: Case): unknown => {
  const [[kind, plain] = []] = Object.entries(value);
  const values: Readonly<Record<string, (plain: any) => Value>> = {
    string: String,
    int64: BigInt,
    int: BigInt,
    dateTime: (dateTime) => ({ dateTime }),
    double: Number,
    set: (items) => items,
    map: (members) => new Map(Object.entries(members)),
  };
  const made = values[kind ?? ''] ?? skip(`nothing here has the type ${kind}`);
  return { xml: xmlValue(made(plain)) };
};

export const ovaXml = byCall({
  ova_xml: description,
  exported_vms: exportedOnes,
  encode,
  expected_disks: expectedDisks,
  checksum_policy: checksumPolicy,
  check_version: () => skip('files of every release are taken'),
});

export const xvaLayout = byCall({
  write_xva: write,
  read_xva_disks: read,
  tar_header: head,
  block_checksum: sums,
  detect_container: ({ given }) => ({
    container: packingOf(Buffer.from(given['first 512 bytes'].replace(/bytes | /g, ''), 'hex')),
  }),
});

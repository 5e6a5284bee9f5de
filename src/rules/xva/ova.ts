import { encodersOf, recordEncoder } from '../../codec/typed.ts';
import { xmlValue } from '../../codec/xmlrpc-writer.ts';
import type { ClassName, Fields } from '../../model/class.ts';
import { epoch, nullRef, type Ref, type Type } from '../../model/types.ts';
import { struct } from '../../std/value.ts';
import type { AnyRecord } from '../../store/schema.ts';
import type { View } from '../../store/view.ts';
import { objectsReached, type XvaClass, type XvaWanted, xvaClasses } from './reached.ts';

// `ova.xml`: the records of a VM and of what it needs, as the API gives them, under ids of the file's own.

export type FieldsOf = (cls: ClassName) => Fields;

/** An object of a file: `record` is as the file has it. */
export interface OvaObject {
  readonly cls: XvaClass;
  readonly id: string;
  readonly ref: Ref;
  readonly record: AnyRecord;
}

const operations = ['allowed_operations', 'current_operations'];

/** Fields that mean nothing elsewhere, and are empty in a file. */
const emptied: Partial<Record<XvaClass, readonly string[]>> = {
  VM: [...operations, 'protection_policy', 'crash_dumps', 'consoles', 'blobs'],
  VBD: [...operations, 'metrics'],
  VIF: [...operations, 'metrics'],
  network: [...operations, 'PIFs', 'blobs'],
  VDI: [...operations, 'crash_dumps'],
  SR: [...operations, 'PBDs', 'blobs'],
  GPU_group: ['PGPUs'],
  PVS_site: ['cache_storage', 'servers'],
  host: [
    ...[...operations, 'PIFs', 'PBDs', 'PGPUs', 'PCIs', 'host_CPUs', 'license_params', 'blobs', 'metrics'],
    ...['external_auth_type', 'external_auth_service_name', 'external_auth_configuration', 'patches'],
    ...['crashdumps', 'logging', 'supported_bootloaders', 'cpu_configuration', 'other_config', 'tags'],
    ...['capabilities', 'software_version', 'sched_policy', 'ha_statefiles', 'ha_network_peers'],
  ],
};

/** Fields that name objects of the pool that the file comes from, as they are there. */
const foreign: Partial<Record<XvaClass, readonly string[]>> = {
  VM: ['children', 'snapshots', 'suspend_SR'],
  VDI: ['snapshot_of', 'snapshots', 'parent'],
};

/** Of a VM that is to be no snapshot where it arrives. */
const plainVm: AnyRecord = {
  ...{ is_a_snapshot: false, snapshot_of: nullRef, snapshots: [], parent: nullRef },
  ...{ snapshot_time: epoch, transportable_snapshot_id: '' },
};

const halted: Partial<Record<XvaClass, AnyRecord>> = {
  VM: { power_state: 'Halted', suspend_VDI: nullRef },
  ...{ VBD: { currently_attached: false }, VIF: { currently_attached: false } },
  VGPU: { currently_attached: false },
};

/** The objects of a file, class by class as readers expect them. */
export const ovaObjects = (view: View, fieldsOf: FieldsOf, wanted: XvaWanted): readonly OvaObject[] => {
  const reached = objectsReached(view, wanted);
  const ids = new Map([...reached].map(([ref], at) => [ref, `Ref:${at}`]));
  const objects = [...reached].map(([ref, cls]): OvaObject => {
    const row = view.require(cls, ref as Ref<any>) as unknown as AnyRecord;
    const record = {
      ...mapped(cls, fieldsOf(cls), row, ids),
      ...(wanted.preserve ? {} : halted[cls]),
      ...(cls === 'VM' && !wanted.snapshots ? plainVm : {}),
      ...(cls === 'PVS_proxy' ? { currently_attached: false } : {}),
      ...(cls === 'VTPM'
        ? { content: view.get('secret', row['contents'] as Ref<'secret'>)?.value ?? '' }
        : {}),
    };
    return { cls, ref: ref as Ref, id: ids.get(ref) ?? '', record };
  });
  return xvaClasses.flatMap((cls) => objects.filter((one) => one.cls === cls));
};

const mapped = (
  cls: XvaClass,
  fields: Fields,
  row: AnyRecord,
  ids: ReadonlyMap<string, string>,
): Record<string, unknown> => {
  const isOfFile = (type: Type<unknown> | undefined): boolean =>
    type?.kind === 'ref' && (xvaClasses as readonly string[]).includes(type.of ?? '');
  const told = (name: string, type: Type<unknown>): unknown => {
    const value = row[name];
    if (emptied[cls]?.includes(name)) return type.empty;
    if (foreign[cls]?.includes(name)) return value;
    if (isOfFile(type)) return ids.get(value as string) ?? nullRef;
    if (type.kind !== 'set' || !isOfFile(type.item)) return value;
    return (value as readonly string[]).flatMap((ref) => ids.get(ref) ?? []);
  };
  return Object.fromEntries(Object.entries(fields).map(([name, { type }]) => [name, told(name, type)]));
};

/** The disks whose bytes are in the file, in its order: what drives have but discs, and saved memory. */
export const ovaDisks = (objects: readonly OvaObject[]): readonly OvaObject[] => {
  const byId = new Map(objects.map((one) => [one.id, one]));
  const driven = new Set(
    objects.flatMap(({ cls, record }) => (cls === 'VBD' && record['type'] !== 'CD' ? [record['VDI']] : [])),
  );
  const isDisk = ({ cls, id, record }: OvaObject): boolean =>
    cls === 'VDI' &&
    (record['type'] === 'suspend' || driven.has(id)) &&
    byId.get(record['SR'] as string)?.record['content_type'] !== 'iso';
  return objects.filter(isDisk).toSorted((one, other) => (one.id < other.id ? -1 : 1));
};

/** Low, so that readers of any age take it: they refuse what is newer than they are by this pair. */
const written = { xapi_major: 1n, xapi_minor: 20n, export_vsn: 2n } as const;

export interface XvaOrigin {
  readonly date: string;
  readonly product_version: string;
  readonly product_brand: string;
  readonly build_number: string;
}

const encoderOf = encodersOf([]);

/** The text in pieces, an object each. */
export function* ovaText(
  objects: readonly OvaObject[],
  fieldsOf: FieldsOf,
  origin: XvaOrigin,
): Generator<string> {
  const version = xmlValue(struct({ hostname: 'localhost', ...origin, ...written }));
  yield `<value><struct><member><name>version</name>${version}</member><member><name>objects</name>`;
  yield '<value><array><data>';
  const encoders = new Map(xvaClasses.map((cls) => [cls, recordEncoder(fieldsOf(cls), encoderOf)]));
  for (const { cls, id, record } of objects) {
    const snapshot = cls === 'VTPM' ? xmlValue(vtpmOf(record)) : encoders.get(cls)?.xml(record);
    const members = [
      ['class', xmlValue(cls)],
      ['id', xmlValue(id)],
      ['snapshot', snapshot],
    ].map(([name, value]) => `<member><name>${name}</name>${value}</member>`);
    yield `<value><struct>${members.join('')}</struct></value>`;
  }
  yield '</data></array></value></member></struct></value>';
}

/** Its contents are in no record of the API, so readers know it by names of their own. */
const vtpmOf = ({ VM, uuid, is_unique, is_protected, content }: AnyRecord) =>
  struct({
    "vTPM'_VM": VM as string,
    "vTPM'_uuid": uuid as string,
    "vTPM'_is_unique": is_unique as boolean,
    "vTPM'_is_protected": is_protected as boolean,
    "vTPM'_content": content as string,
  });

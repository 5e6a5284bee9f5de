import { classes } from '../../actors/index.ts';
import { readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import { xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import type { Ref } from '../../src/model/types.ts';
import {
  cardFields,
  cardNetwork,
  diskHere,
  disksInFile,
  driveFields,
  type ImportWish,
  networkHere,
  seedRefusal,
  vmArrival,
  vmFields,
} from '../../src/rules/xva/arriving.ts';
import { ovaOf, type ReadOva } from '../../src/rules/xva/ova-read.ts';
import type { Value } from '../../src/std/value.ts';
import { schemasOf } from '../../src/store/schema.ts';
import type { Case } from './cases.ts';
import { type Adapter, against, byCall, outcome, skip } from './subject.ts';
import { type Rows, viewOfRows } from './vm-rows.ts';

type Given = Readonly<Record<string, any>>;

const schemas = schemasOf(classes);
const fieldsOf = (cls: string) => schemas.get(cls)?.cls.fields ?? {};

const asValue = (plain: any): Value => {
  if (Array.isArray(plain)) return plain.map(asValue);
  if (typeof plain === 'number') return BigInt(plain);
  if (typeof plain === 'object' && plain !== null)
    return new Map(Object.entries(plain).map(([key, value]) => [key, asValue(value)]));
  return plain;
};

/** A file with these objects, through its text. */
const fileWith = (objects: readonly (readonly [cls: string, id: string, fields: Given])[]): ReadOva => {
  const written = objects.map(([cls, id, fields]) => asValue({ class: cls, id, snapshot: fields }));
  const whole = new Map<string, Value>([
    ['version', new Map([['export_vsn', 2n]])],
    ['objects', written],
  ]);
  return ovaOf(readXmlRpcValue(xmlValue(whole)), fieldsOf);
};

/** Rows as cases list them, each with its reference. */
const rowsOf = (cls: string, list: readonly Given[] = []): Rows[string] =>
  Object.fromEntries(
    list.map(({ ref, ...given }, at) => {
      const { mac_seed, ...fields } = given;
      const seed = mac_seed === undefined ? {} : { other_config: { mac_seed } };
      const row = Object.entries({ ...fields, ...seed }).map(([name, value]) => {
        const type = fieldsOf(cls)[name]?.type;
        return [name, type?.read(asValue(value), name) ?? value];
      });
      return [ref ?? `${cls} ${at}`, Object.fromEntries(row)];
    }),
  );

const plain: ImportWish = { restore: false, force: false, full: true, renamed: new Map() };
const wishOf = ({ restore = false, force = false, kind = 'full', vdi_map = {} }: Given): ImportWish => ({
  ...{ restore, force, full: kind === 'full', renamed: new Map(Object.entries(vdi_map)) },
});

const vm = ({ given, when: { options }, then }: Case): Promise<unknown> =>
  outcome(() => {
    const view = viewOfRows({ VM: rowsOf('VM', given['VMs in the pool']) });
    const record = fileWith([['VM', 'Ref:0', given['VM in the file']]]).of('VM')[0]?.record ?? {};
    const arrival = vmArrival(view, record, wishOf(options));
    if ('error' in then || arrival.does === 'skip' || arrival.does === 'use') {
      const named = arrival.does === 'use' ? `use ${arrival.vm}, in the result` : '';
      return arrival.does === 'use'
        ? { action: named }
        : { action: 'skip, <x> is untouched and not in the result' };
    }
    const isReplacing = arrival.does === 'replace';
    const fresh = { seed: 'fresh', generation: 'fresh', task: 'task' as Ref<'task'> };
    const fields = vmFields(view, record, { ...wishOf(options), isReplacing }, fresh);
    const found = {
      action: isReplacing ? `replace ${arrival.vm} (its VBDs, VIFs and record go, its VDIs stay)` : 'create',
      uuid: options.restore ? record.uuid : 'fresh',
      version: Number(fields.version),
      'other_config has default_template': fields.other_config?.has('default_template'),
    };
    return Object.fromEntries(Object.entries(found).filter(([name]) => name in then));
  });

const plainly = (value: any): unknown => {
  if (value instanceof Map) return Object.fromEntries(value);
  return typeof value === 'bigint' ? Number(value) : value;
};

const vmValues = ({ given, when: { options }, then }: Case): unknown => {
  if ('affinity' in then) return skip('a host is looked up by its uuid as the row is made');
  const said = given['VM in the file'];
  const record = fileWith([['VM', 'Ref:0', said]]).of('VM')[0]?.record ?? {};
  const fresh = { seed: '<fresh>', generation: '<fresh>', task: '<task>' as Ref<'task'> };
  const fields = vmFields(viewOfRows({}), record, { ...wishOf(options), isReplacing: false }, fresh);
  return Object.fromEntries(Object.keys(then).map((name) => [name, plainly((fields as Given)[name])]));
};

const seeds = ({ given }: Case): unknown => {
  const view = viewOfRows({ VM: rowsOf('VM', given['VMs in the pool']) });
  const listed = (given['VMs in the file'] as readonly Given[]).map(
    ({ id = 'Ref:0', mac_seed, ...fields }) => {
      const other_config = mac_seed === undefined ? {} : { mac_seed };
      return ['VM', id, { ...fields, other_config }] as const;
    },
  );
  const refusal = seedRefusal(view, fileWith(listed));
  return { error: refusal === undefined ? null : [refusal.code, ...refusal.params] };
};

const network = ({ given }: Case): unknown => {
  const view = viewOfRows({ network: rowsOf('network', given['networks in the pool']) });
  const file = fileWith([['network', 'Ref:0', given['network in the file']]]);
  const uses = networkHere(view, file.of('network')[0]?.record ?? {});
  if (uses !== undefined) return { uses };
  return { creates: { name_label: 'lan', 'other_config has import_task': true } };
};

const disk = ({ given, when, then }: Case): Promise<unknown> =>
  outcome(() => {
    const view = viewOfRows({
      SR: rowsOf('SR', given['SRs in the pool']),
      VDI: rowsOf('VDI', given['VDIs in the pool']),
    });
    const file = fileWith([
      ['SR', 'Ref:9', given['its SR in the file']],
      ['VDI', 'Ref:0', { ...given['VDI in the file'], SR: 'Ref:9' }],
      ['VBD', 'Ref:1', { VDI: 'Ref:0', type: 'Disk' }],
    ]);
    const uses = diskHere(view, file, file.of('VDI')[0]?.record ?? {}, wishOf(when));
    if (uses !== undefined) return { uses };
    if ('creates' in then) {
      const made = disksInFile(file).map(({ id }) => id);
      return against(made, ['Ref:0']);
    }
    return 'CD' in then ? { VDI: null, CD: 'empty' } : { VDI: null, disk: 'skipped' };
  });

const drive = ({ given, when, then }: Case): Promise<unknown> =>
  outcome(() => {
    if (when['live'] === true) return skip('VMs that run do not come as files');
    if ('uses' in then) return skip('a drive that is there goes with the VM that is replaced');
    const { VDI, ...said } = given['VBD in the file'] as Given;
    const file = fileWith([
      ['VBD', 'Ref:1', said],
      ['VM', 'Ref:0', given['its VM in the file']],
    ]);
    const record = file.of('VBD')[0]?.record ?? {};
    const found = VDI === 'found' ? ('OpaqueRef:vdi' as Ref<'VDI'>) : undefined;
    const fields = driveFields(record, file.of('VM')[0]?.record ?? {}, found);
    if (fields === undefined) return { VBD: null };
    const names = Object.keys(then['creates'] ?? {});
    return { creates: Object.fromEntries(names.map((name) => [name, (fields as Given)[name]])) };
  });

const card = ({ given, when, then }: Case): Promise<unknown> =>
  outcome(() => {
    if ('VIF locking licensed' in when) return skip('no feature of ours has to be bought');
    const { network: id = 'Ref:4', ...said } = given['VIF in the file'] as Given;
    const inPool = { '<n1>': { uuid: 'n1', name_label: 'one' }, '<n2>': { uuid: 'n2', name_label: 'two' } };
    const file = fileWith([
      ['VIF', 'Ref:1', { ...said, network: id }],
      ['network', 'Ref:4', { name_label: 'one' }],
    ]);
    const record = file.of('VIF')[0]?.record ?? {};
    const power_state = when['VM.power_state'] ?? 'Halted';
    const fields = cardFields(record, { power_state }, plain);
    const found = {
      ...fields,
      network: cardNetwork(viewOfRows({ network: inPool }), file, record),
      MAC: fields.MAC === '' ? '<generated>' : fields.MAC,
      uuid: 'fresh',
    };
    return Object.fromEntries(Object.keys(then).map((name) => [name, plainly((found as Given)[name])]));
  });

export const xvaRules: Adapter = byCall({
  import_vm: vm,
  import_vm_fields: vmValues,
  import: seeds,
  import_network: network,
  import_vdi: disk,
  import_vbd: drive,
  import_vif: card,
});

/** Ids of the disks that a file with these objects has. */
export const expectedDisks = ({ given }: Case): Promise<unknown> =>
  outcome(() => {
    const listed = (given['objects'] as readonly Given[]).map(
      ({ class: cls, id, ...fields }) => [cls, id, fields] as const,
    );
    return { 'ids in order': disksInFile(fileWith(listed)).map(({ id }) => id) };
  });

export const checksumPolicy = ({ given }: Case): unknown => {
  const said = given['version.export_vsn'];
  const version = new Map<string, Value>(said === null ? [] : [['export_vsn', BigInt(said)]]);
  const { exportVersion } = ovaOf(
    new Map<string, Value>([
      ['version', version],
      ['objects', []],
    ]),
    fieldsOf,
  );
  const inline = exportVersion >= 2n;
  return { 'inline checksums are checked': inline, 'a checksum table follows the disks': !inline };
};

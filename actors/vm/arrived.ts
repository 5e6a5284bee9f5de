import type { ClassName, RecordNamed } from '../../src/model/class.ts';
import { constructorFields } from '../../src/model/derive.ts';
import { nullRef, type Ref, type Type } from '../../src/model/types.ts';
import { construct, destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { writing } from '../../src/rules/disk-use.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { guestMetricsFates, vmMetricsFates } from '../../src/rules/fates/metrics.ts';
import { noteMade } from '../../src/rules/leftovers.ts';
import {
  cardFields,
  cardNetwork,
  driveFields,
  type Foreseen,
  type ImportWish,
  mapsTo,
  type VmArrival,
  vmFields,
} from '../../src/rules/xva/arriving.ts';
import type { ReadObject, ReadOva } from '../../src/rules/xva/ova-read.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { deleteVm, freshGenerationId, makeVm } from './creating.ts';

// The rows of VMs that arrive are made by the constructors of their classes, so that what a file says is
// looked at as what a client says.

type Importing = Working<'VM'>;
type Row<C extends ClassName> = Partial<RecordNamed<C>>;

export interface ArrivingFile {
  readonly ova: ReadOva;
  readonly wish: ImportWish;
  readonly foreseen: Foreseen;
  /** Where disks are made; null where none is, as all are here. */
  readonly sr: Ref<'SR'>;
}

interface ArrivedVm {
  readonly vm: Ref<'VM'>;
  readonly read: ReadObject<'VM'>;
  readonly fields: Row<'VM'>;
  readonly replaces: Ref<'VM'> | undefined;
}

export interface Arrived extends ArrivingFile {
  /** By ids of the file, those that were made. */
  readonly vms: Map<string, ArrivedVm>;
  /** VMs that were here. */
  readonly used: Ref<'VM'>[];
  readonly disks: Map<string, Ref<'VDI'>>;
  readonly networks: Map<string, Ref<'network'>>;
  readonly drives: Map<Ref<'VBD'>, ReadObject<'VBD'>>;
  readonly cards: Map<Ref<'VIF'>, ReadObject<'VIF'>>;
}

export const arrive = async (working: Importing, arriving: ArrivingFile): Promise<Arrived> => {
  const arrived: Arrived = {
    ...{ ...arriving, vms: new Map(), used: [], disks: new Map(), networks: new Map() },
    ...{ drives: new Map(), cards: new Map() },
  };
  const { arrivals, disksInFile } = arriving.foreseen;
  for (const read of arriving.ova.of('VM')) await arriveVm(working, arrived, read, arrivals.get(read.id));
  const [first] = arrived.vms.values();
  if (first === undefined) return arrived;
  for (const read of disksInFile) await makeDisk(working, arrived, read, first.vm);
  for (const read of arriving.ova.of('VBD')) await makeDrive(working, arrived, read);
  for (const read of arriving.ova.of('VIF')) await makeCard(working, arrived, read);
  await working.commit((tx) => {
    const task = tx.get('task', working.task);
    if (task === undefined) return;
    const other_config = new Map([...task.other_config, ['object_creation', 'complete']]);
    tx.patch('task', working.task, { other_config });
  });
  return arrived;
};

const isReference = (type: Type<unknown>): boolean =>
  type.kind === 'ref' || (type.item !== undefined && isReference(type.item));

/** What a constructor takes of a record: nothing of another pool's objects, and all that it must be given. */
const constructed = <C extends ClassName>(
  working: Importing,
  cls: C,
  record: Row<C>,
  more: Row<C>,
): Row<C> => {
  const schema = working.services.store.tables.get(cls)?.schema;
  const taken = constructorFields(schema?.cls as never).map(([name, { type, default: usual }]) => {
    const said = isReference(type) ? undefined : (record as Readonly<Record<string, unknown>>)[name];
    return [name, said ?? usual ?? type.empty] as const;
  });
  return { ...(Object.fromEntries(taken) as Row<C>), ...more };
};

const importNote = (working: Importing, config: ReadonlyMap<string, string> = new Map()) =>
  new Map([...config, ['import_task', working.task as string]]);

const arriveVm = async (
  working: Importing,
  arrived: Arrived,
  read: ReadObject<'VM'>,
  arrival: VmArrival = { does: 'skip' },
): Promise<void> => {
  const { services, view, task } = working;
  if (arrival.does === 'use') arrived.used.push(arrival.vm);
  if (arrival.does === 'use' || arrival.does === 'skip') return;
  const replaces = arrival.does === 'replace' ? arrival.vm : undefined;
  if (replaces !== undefined) await working.hold({ cls: 'VM', ref: replaces, operation: 'destroy' });
  const { random } = services;
  const fresh = { seed: random.uuid(), generation: freshGenerationId(services), task };
  const wish = { ...arrived.wish, isReplacing: replaces !== undefined };
  const fields = vmFields(view, read.record, wish, fresh);
  const affinity = view.byUuid('host', arrived.ova.get('host', read.record.affinity)?.record.uuid ?? '');
  const made = constructed(working, 'VM', fields, {
    affinity: affinity ?? (nullRef as Ref<'host'>),
    ...{ power_state: 'Halted', suspend_SR: fields.suspend_SR ?? (nullRef as Ref<'SR'>) },
  });
  const vm = await working.commit((tx) => {
    const ref = makeVm(tx, services, made);
    tx.patch('VM', ref, { imported_by: services.host });
    return ref;
  });
  working.undo(() => working.commit((tx) => (tx.get('VM', vm) === undefined ? undefined : deleteVm(tx, vm))));
  await working.hold({ cls: 'VM', ref: vm, operation: 'import' });
  arrived.vms.set(read.id, { vm, read, fields, replaces });
};

const makeDisk = async (
  working: Importing,
  arrived: Arrived,
  { id, record }: ReadObject<'VDI'>,
  owner: Ref<'VM'>,
): Promise<void> => {
  const { sr, other_config } = placeOf(working.view, arrived, record);
  const fields = constructed(working, 'VDI', record, {
    ...{ SR: sr, other_config },
    // It has to be written first.
    read_only: false,
    sm_config: importNote(working, record.sm_config),
  });
  const vdi = await construct(working, 'VDI', fields);
  await noteMade(working, owner, vdi);
  await working.hold(writing(vdi));
  arrived.disks.set(id, vdi);
};

const diskFor = ({ disks, foreseen }: Arrived, id: string = nullRef): Ref<'VDI'> | undefined =>
  disks.get(id) ?? foreseen.disksHere.get(id);

/** The repository for a disk: one that its record is told, or the one for all. */
const placeOf = (view: View, arrived: Arrived, { other_config = new Map() }: Row<'VDI'>) => {
  const told = other_config.get(mapsTo) as Ref<'SR'> | undefined;
  return {
    sr: told !== undefined && view.get('SR', told) !== undefined ? told : arrived.sr,
    other_config: new Map([...other_config].filter(([key]) => key !== mapsTo)),
  };
};

const makeDrive = async (working: Importing, arrived: Arrived, read: ReadObject<'VBD'>): Promise<void> => {
  const owner = arrived.vms.get(read.record.VM ?? nullRef);
  if (owner === undefined) return;
  const fields = driveFields(read.record, owner.read.record, diskFor(arrived, read.record.VDI));
  if (fields === undefined) return;
  const { empty = true, VDI: inside = nullRef as Ref<'VDI'> } = fields;
  const more: Row<'VBD'> = { VM: owner.vm, VDI: inside, empty };
  const vbd = await construct(working, 'VBD', constructed(working, 'VBD', fields, more));
  working.undo(() => destruct(working, 'VBD', vbd));
  arrived.drives.set(vbd, read);
};

const makeCard = async (working: Importing, arrived: Arrived, read: ReadObject<'VIF'>): Promise<void> => {
  const owner = arrived.vms.get(read.record.VM ?? nullRef);
  if (owner === undefined) return;
  const on = cardNetwork(working.view, arrived.ova, read.record);
  const network = typeof on === 'string' ? on : await makeNetwork(working, arrived, on);
  const fields = cardFields(read.record, owner.read.record, arrived.wish);
  const made = constructed(working, 'VIF', fields, { VM: owner.vm, network });
  const vif = await construct(working, 'VIF', made);
  working.undo(() => destruct(working, 'VIF', vif));
  arrived.cards.set(vif, read);
};

const makeNetwork = async (
  working: Importing,
  { networks }: Arrived,
  { id, record }: ReadObject<'network'>,
): Promise<Ref<'network'>> => {
  const known = networks.get(id);
  if (known !== undefined) return known;
  const { name_label, name_description, MTU, other_config } = record;
  const fields = constructed(working, 'network', { name_label, name_description, MTU } as Row<'network'>, {
    other_config: importNote(working, other_config),
    bridge: '',
  });
  const network = await construct(working, 'network', fields);
  working.undo(() => destruct(working, 'network', network));
  networks.set(id, network);
  return network;
};

/** Fields that no constructor takes, and that come with the VM all the same. */
const carried = [
  ...(['is_a_snapshot', 'snapshot_time', 'transportable_snapshot_id', 'snapshot_info'] as const),
  ...(['snapshot_metadata', 'is_vmss_snapshot', 'bios_strings', 'version', 'generation_id'] as const),
  ...(['is_default_template', 'memory_target', 'hardware_platform_version', 'requires_reboot'] as const),
  ...(['has_vendor_device', 'domain_type', 'NVRAM', 'reference_label', 'HVM_shadow_multiplier'] as const),
  ...(['ha_restart_priority', 'order', 'start_delay', 'shutdown_delay', 'domarch'] as const),
  ...(['secureboot_certificates_state', 'HVM_boot_policy', 'tags'] as const),
] as const;

/** Makes them whole, all in one commit. Answers those that are no snapshots of others. */
export const settleArrived = (working: Importing, arrived: Arrived): readonly Ref<'VM'>[] => {
  const { vms, used } = arrived;
  working.settle((tx) => {
    for (const one of vms.values()) settleVm(working, tx, arrived, one);
    for (const one of vms.values()) linkVm(tx, arrived, one);
    noteConfigDrives(tx, arrived);
  });
  const made = [...vms.values()];
  const plain = made.filter(({ read }) => read.record.is_a_snapshot !== true);
  return [...used, ...(plain.length > 0 ? plain : made).map(({ vm }) => vm)];
};

const settleVm = (working: Importing, tx: Tx, arrived: Arrived, one: ArrivedVm): void => {
  const { vm, read, fields, replaces } = one;
  const { restore } = arrived.wish;
  if (replaces !== undefined) deleteVm(tx, replaces);
  const kept = Object.fromEntries(
    carried.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])),
  );
  tx.patch('VM', vm, {
    ...(kept as Row<'VM'>),
    ...sleeping(arrived, one),
    ...(restore ? freeUuid(tx, 'VM', read.record.uuid) : {}),
    ...figures(working, tx, arrived, one),
    imported_by: nullRef as Ref<'host'>,
    leftovers: new Map(),
  });
  settleDevices(tx, arrived, one);
  makeTpms(working, tx, arrived, one);
};

const freeUuid = (tx: Tx, cls: 'VM' | 'VBD' | 'VIF', uuid: string | undefined): { readonly uuid?: string } =>
  uuid === undefined || tx.byUuid(cls, uuid) !== undefined ? {} : { uuid };

/** A VM sleeps on where its memory came along. */
const sleeping = (arrived: Arrived, { read: { record } }: ArrivedVm): Row<'VM'> => {
  const suspend_VDI = diskFor(arrived, record.suspend_VDI);
  if (record.power_state !== 'Suspended' || suspend_VDI === undefined) return {};
  const { last_booted_record = '', last_boot_CPU_flags = new Map() } = record;
  return { power_state: 'Suspended', suspend_VDI, last_booted_record, last_boot_CPU_flags };
};

/** Figures of the guest begin with those that it had. */
const figures = (working: Importing, tx: Tx, { ova }: Arrived, { vm, read }: ArrivedVm): Row<'VM'> => {
  const { random } = working.services;
  const host = ova.get('VM_metrics', read.record.metrics)?.record;
  const { metrics } = tx.require('VM', vm);
  const { uuid } = tx.require('VM_metrics', metrics);
  if (host !== undefined)
    tx.patch('VM_metrics', metrics, fieldsFor('VM_metrics', vmMetricsFates, 'copy', host, { uuid }));
  const agent = ova.get('VM_guest_metrics', read.record.guest_metrics)?.record;
  if (agent === undefined) return {};
  const guest_metrics = newRef<'VM_guest_metrics'>(working.services);
  const own = { uuid: random.uuid() };
  tx.create(
    'VM_guest_metrics',
    guest_metrics,
    fieldsFor('VM_guest_metrics', guestMetricsFates, 'copy', agent, own),
  );
  return { guest_metrics };
};

/** Of a VM that sleeps its memory knows which devices it had, and where. */
const settleDevices = (tx: Tx, arrived: Arrived, { vm, read }: ArrivedVm): void => {
  const { restore } = arrived.wish;
  const { power_state, VBDs, VIFs } = tx.require('VM', vm);
  const isAsleep = power_state === 'Suspended';
  for (const ref of VBDs) {
    const { currently_attached = false, device = '', uuid } = arrived.drives.get(ref)?.record ?? {};
    const own = restore ? freeUuid(tx, 'VBD', uuid) : {};
    tx.patch('VBD', ref, { ...own, ...(isAsleep ? { currently_attached, device } : {}) });
  }
  for (const ref of VIFs) {
    const { currently_attached = false, uuid } = arrived.cards.get(ref)?.record ?? {};
    const own = restore ? freeUuid(tx, 'VIF', uuid) : {};
    tx.patch('VIF', ref, { ...own, ...(isAsleep ? { currently_attached } : {}) });
  }
  for (const { id, record } of arrived.ova.of('VDI')) {
    const vdi = arrived.disks.get(id);
    if (vdi !== undefined && record.read_only === true && record.type !== 'suspend' && read.id !== '')
      tx.patch('VDI', vdi, { read_only: true });
  }
};

const makeTpms = (working: Importing, tx: Tx, { ova, vms }: Arrived, { vm }: ArrivedVm): void => {
  const { services } = working;
  for (const { said } of ova.of('VTPM')) {
    if (vms.get(String(said.get("vTPM'_VM")))?.vm !== vm) continue;
    const contents = newRef<'secret'>(services);
    const value = said.get("vTPM'_content");
    tx.create('secret', contents, {
      uuid: services.random.uuid(),
      value: typeof value === 'string' ? value : '',
    });
    tx.create('VTPM', newRef<'VTPM'>(services), {
      ...{ uuid: services.random.uuid(), VM: vm, contents },
      is_unique: said.get("vTPM'_is_unique") === true,
      is_protected: said.get("vTPM'_is_protected") === true,
    });
  }
};

/** Snapshots know of what they are, where both came. */
const linkVm = (tx: Tx, { vms }: Arrived, { vm, read }: ArrivedVm): void => {
  const here = (id: string | undefined): Ref<'VM'> => vms.get(id ?? nullRef)?.vm ?? (nullRef as Ref<'VM'>);
  tx.patch('VM', vm, { snapshot_of: here(read.record.snapshot_of), parent: here(read.record.parent) });
};

/** A disk that was here is told what its VM keeps its settings on. */
const noteConfigDrives = (tx: Tx, { ova, wish, foreseen }: Arrived): void => {
  if (wish.full) return;
  for (const [id, vdi] of foreseen.disksHere) {
    const said = ova.get('VDI', id)?.record.other_config?.get(configDrive);
    const { other_config } = tx.require('VDI', vdi);
    if (said !== undefined && other_config.get(configDrive) !== said)
      tx.patch('VDI', vdi, { other_config: new Map([...other_config, [configDrive, said]]) });
  }
};

const configDrive = 'config-drive';

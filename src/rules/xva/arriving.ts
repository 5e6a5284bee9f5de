import type { RecordNamed } from '../../model/class.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import { Fault } from '../../std/fault.ts';
import type { View } from '../../store/view.ts';
import type { ReadObject, ReadOva } from './ova-read.ts';

// What becomes of the objects of a file where they arrive. Pure: nothing is made yet.

export interface ImportWish {
  /** VMs come back as what they were, with their uuids and addresses. */
  readonly restore: boolean;
  /** What is missing, older or wrong is passed over. */
  readonly force: boolean;
  /** The disks are in the file; else they are looked for. */
  readonly full: boolean;
  /** Other names of disks that are looked for, by uuid or SCSI id. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** In `other_config` of what a file has: which object of the pool that it comes to is meant for it. */
export const mapsTo = 'maps_to';

type Vm = RecordNamed<'VM'>;
type VmRef = Ref<'VM'>;

/** `replace`: in place of the one that is there, whose disks stay. */
export type VmArrival =
  | { readonly does: 'create' | 'skip' }
  | { readonly does: 'use' | 'replace'; readonly vm: VmRef };

const isDefault = ({ is_default_template, is_a_template, other_config }: Partial<Vm>): boolean =>
  is_default_template === true ||
  (is_a_template === true && other_config?.get('default_template') === 'true');

/** Throws the fault that refuses the VM. Domains of hosts stay with the pool that was left. */
export const vmArrival = (view: View, record: Partial<Vm>, { restore, force }: ImportWish): VmArrival => {
  if (record.is_control_domain === true) return { does: 'skip' };
  if (isDefault(record)) {
    const [same] = [...view.all('VM')].filter(([, { name_label }]) => name_label === record.name_label);
    if (same !== undefined) return { does: 'use', vm: same[0] };
  }
  const vm = restore ? view.byUuid('VM', record.uuid ?? '') : undefined;
  const there = vm && view.get('VM', vm);
  if (vm === undefined || there === undefined) return { does: 'create' };
  if (there.power_state !== 'Halted') {
    if (force) return { does: 'skip' };
    throw new Fault('VM_BAD_POWER_STATE', [vm, 'Halted', there.power_state]);
  }
  const version = record.version ?? 0n;
  if (there.version >= version && !force)
    throw new Fault('VM_TO_IMPORT_IS_NOT_NEWER_VERSION', [vm, `${there.version}`, `${version}`]);
  return { does: 'replace', vm };
};

const seedOf = ({ other_config }: Partial<Vm>): string | undefined => other_config?.get('mac_seed');

/** Two VMs of one seed would have the same addresses. Asked where VMs come back with theirs. */
export const seedRefusal = (view: View, ova: Pick<ReadOva, 'of' | 'get'>): Fault | undefined => {
  const vms = ova.of('VM');
  for (const { record } of vms) {
    const seed = seedOf(record);
    const isRelated = (ref: VmRef): boolean => {
      const { uuid, snapshot_of } = view.require('VM', ref);
      const theirs = ova.get('VM', record.snapshot_of)?.record.uuid;
      const origin = view.get('VM', snapshot_of)?.uuid;
      return [record.uuid, theirs].some((one) => one !== undefined && (one === uuid || one === origin));
    };
    if (seed === undefined) continue;
    for (const [ref, there] of view.all('VM'))
      if (seedOf(there) === seed && !isRelated(ref)) return new Fault('DUPLICATE_MAC_SEED', [seed]);
  }
  return undefined;
};

/** What is made for a VM that arrives, whatever its file says. */
export interface VmFresh {
  readonly seed: string;
  readonly generation: string;
  readonly task: Ref<'task'>;
}

const oldPriorities: readonly string[] = ['0', '1', '2', '3'];

const noteless: readonly string[] = ['grant_api_access'];

/** The fields of a VM as it is here: what the file has is as it was, but for what belongs to another pool. */
export const vmFields = (
  view: View,
  record: Partial<Vm>,
  { restore, force, isReplacing }: Pick<ImportWish, 'restore' | 'force'> & { readonly isReplacing: boolean },
  fresh: VmFresh,
): Partial<Vm> => {
  const staysDefault = force || isReplacing;
  const left = [...noteless, ...(staysDefault ? [] : ['default_template'])];
  const other_config = new Map([...(record.other_config ?? [])].filter(([key]) => !left.includes(key)));
  const seed = restore ? other_config.get('mac_seed') : undefined;
  other_config.set('mac_seed', seed ?? fresh.seed).set('import_task', fresh.task);
  const suspend_SR = record.suspend_SR ?? (nullRef as Ref<'SR'>);
  const priority = record.ha_restart_priority ?? '';
  const isOld = oldPriorities.includes(priority);
  const { HVM_boot_policy = '', domain_type = 'unspecified' } = record;
  return {
    ...record,
    other_config,
    version: restore ? (record.version ?? 0n) + 1n : 0n,
    is_default_template: staysDefault && record.is_default_template === true,
    generation_id: record.is_a_template === true ? (record.generation_id ?? '') : fresh.generation,
    has_vendor_device: record.has_vendor_device ?? false,
    ha_restart_priority: isOld ? 'restart' : priority,
    ...(isOld && { order: BigInt(priority) }),
    domain_type: domain_type === 'unspecified' ? (HVM_boot_policy === '' ? 'pv' : 'hvm') : domain_type,
    suspend_SR: view.get('SR', suspend_SR) === undefined ? (nullRef as Ref<'SR'>) : suspend_SR,
    ...{ appliance: nullRef as Ref<'VM_appliance'>, protection_policy: nullRef as Ref<'VMPP'> },
  };
};

/** A network that is here already: by its name, else by its bridge. */
export const networkHere = (
  view: View,
  { name_label, bridge }: Partial<RecordNamed<'network'>>,
): Ref<'network'> | undefined => {
  const all = [...view.all('network')];
  const by =
    all.find(([, row]) => row.name_label === name_label) ?? all.find(([, row]) => row.bridge === bridge);
  return by?.[0];
};

const missing = (id: string): Fault => new Fault('IMPORT_ERROR_FAILED_TO_FIND_OBJECT', [id]);

/** Whose bytes are in the file, in its order. Throws where a drive has a disk that the file lacks. */
export const disksInFile = (ova: Pick<ReadOva, 'of' | 'get'>): readonly ReadObject<'VDI'>[] => {
  const driven = new Set<string>();
  for (const { record } of ova.of('VBD')) {
    if (record.type === 'CD') continue;
    const id = record.VDI ?? nullRef;
    if (ova.get('VDI', id) === undefined) throw missing(id);
    driven.add(id);
  }
  return ova
    .of('VDI')
    .filter(({ id, record }) => (driven.has(id) || record.type === 'suspend') && !isDisc(ova, record))
    .toSorted((one, other) => (one.id < other.id ? -1 : 1));
};

const isDisc = (ova: Pick<ReadOva, 'get'>, { SR }: Partial<RecordNamed<'VDI'>>): boolean =>
  ova.get('SR', SR)?.record.content_type === 'iso';

const noDisk = undefined;
type Disk = Partial<RecordNamed<'VDI'>>;

/** A disc of the same name in a library that is here. */
const discHere = (view: View, { location }: Disk): Ref<'VDI'> | undefined => {
  for (const [ref, vdi] of view.all('VDI')) {
    const sr = view.get('SR', vdi.SR);
    if (vdi.location === location && sr?.content_type === 'iso' && sr.type !== 'udev') return ref;
  }
  return noDisk;
};

const scsiOf = ({ sm_config }: Disk): string | undefined => sm_config?.get('SCSIid');

/** The disk for the drives of one of the file; undefined where there is none. Throws where it must be. */
export const diskHere = (
  view: View,
  ova: Pick<ReadOva, 'get'>,
  record: Disk,
  { full, force, renamed }: ImportWish,
): Ref<'VDI'> | undefined => {
  if (isDisc(ova, record)) return discHere(view, record);
  if (full) return noDisk;
  const all = [...view.all('VDI')];
  const uuid = view.byUuid('VDI', renamed.get(record.uuid ?? '') ?? '');
  const scsi = scsiOf(record);
  const sameScsi = (id: string | undefined) =>
    id === undefined ? noDisk : all.find(([, vdi]) => scsiOf(vdi) === id)?.[0];
  const sr = view.byUuid('SR', ova.get('SR', record.SR)?.record.uuid ?? '');
  const { location, other_config } = record;
  const located = all.find(([, vdi]) => sr !== undefined && vdi.SR === sr && vdi.location === location)?.[0];
  const mapped = (other_config?.get(mapsTo) ?? '') as Ref<'VDI'>;
  const found =
    uuid ??
    sameScsi(scsi === undefined ? scsi : renamed.get(scsi)) ??
    sameScsi(scsi) ??
    located ??
    (view.get('VDI', mapped) === undefined ? noDisk : mapped);
  if (found !== undefined || force) return found;
  if (sr === undefined) throw new Fault('VDI_CONTENT_ID_MISSING');
  throw new Fault('VDI_LOCATION_MISSING', [sr, location ?? '']);
};

type Drive = Partial<RecordNamed<'VBD'>>;

/** The fields of a drive; undefined: there is none, as its disk is not here. */
export const driveFields = (
  record: Drive,
  vm: Partial<Vm>,
  VDI: Ref<'VDI'> | undefined,
): Drive | undefined => {
  const isCd = record.type === 'CD';
  const isAttached = record.currently_attached === true;
  const isGuestless = isCd && vm.domain_type !== 'pv';
  if (VDI === undefined && isAttached && record.empty !== true && !isGuestless)
    throw new Fault('IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND');
  if (VDI === undefined && !isCd) return undefined;
  return { ...record, VDI: VDI ?? (nullRef as Ref<'VDI'>), empty: VDI === undefined, device: '' };
};

type Card = Partial<RecordNamed<'VIF'>>;

/** The fields of a network card but its network. */
export const cardFields = (record: Card, vm: Partial<Vm>, { restore }: ImportWish): Card => {
  const other_config = new Map([...(record.other_config ?? [])].filter(([key]) => key !== mapsTo));
  return {
    ...record,
    other_config,
    MAC: restore ? (record.MAC ?? '') : '',
    currently_attached: record.currently_attached === true && vm.power_state !== 'Halted',
  };
};

/** The network of a card: one that it is told, or the file's. Throws where the file lacks it. */
export const cardNetwork = (
  view: View,
  ova: Pick<ReadOva, 'get'>,
  { other_config, network = nullRef as Ref<'network'> }: Card,
): Ref<'network'> | ReadObject<'network'> => {
  const told = (other_config?.get(mapsTo) ?? '') as Ref<'network'>;
  if (view.get('network', told) !== undefined) return told;
  const inFile = ova.get('network', network);
  if (inFile === undefined) throw missing(network);
  return networkHere(view, inFile.record) ?? inFile;
};

/** What is to become of a file: looked at as a whole, from rows alone, before anything is made. */
export interface Foreseen {
  /** By ids of the file. */
  readonly arrivals: ReadonlyMap<string, VmArrival>;
  /** Disks that are here already, by ids of the file. */
  readonly disksHere: ReadonlyMap<string, Ref<'VDI'>>;
  /** Those that are filled, in the order of the file. */
  readonly disksInFile: readonly ReadObject<'VDI'>[];
}

/** Throws the fault that refuses the file. */
export const foreseen = (view: View, ova: Pick<ReadOva, 'of' | 'get'>, wish: ImportWish): Foreseen => {
  const seeds = wish.restore ? seedRefusal(view, ova) : undefined;
  if (seeds !== undefined) throw seeds;
  const arrivals = new Map(ova.of('VM').map(({ id, record }) => [id, vmArrival(view, record, wish)]));
  const filled = wish.full ? disksInFile(ova) : [];
  const disksHere = new Map(
    ova.of('VDI').flatMap(({ id, record }) => {
      const vdi = diskHere(view, ova, record, wish);
      return vdi === undefined ? [] : [[id, vdi] as const];
    }),
  );
  const coming = new Map([...disksHere, ...filled.map(({ id }) => [id, id as Ref<'VDI'>] as const)]);
  for (const { record } of ova.of('VBD')) {
    const owner = ova.get('VM', record.VM);
    if (owner !== undefined) driveFields(record, owner.record, coming.get(record.VDI ?? nullRef));
  }
  for (const { record } of ova.of('VIF'))
    if (ova.get('VM', record.VM) !== undefined) cardNetwork(view, ova, record);
  return { arrivals, disksHere, disksInFile: filled };
};

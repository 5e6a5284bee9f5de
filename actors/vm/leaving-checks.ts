import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import type { Destination, OtherPool } from '../../src/rules/other-pool.ts';
import { strangerRefusal } from '../../src/rules/placement/fitness.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { isAtLeast } from '../../src/rules/versions.ts';
import { Fault } from '../../src/std/fault.ts';
import { boolOf, listOf, member, stringOf, structOf } from '../../src/std/reader.ts';
import type { Value } from '../../src/std/value.ts';
import type { View } from '../../src/store/view.ts';

// Whether a VM can move to another pool, asked of the rows here and of the other side by calls.

export interface LeaveArgs {
  readonly dest: Destination;
  readonly live: boolean;
  readonly vdi_map: ReadonlyMap<Ref<'VDI'>, Ref<'SR'>>;
  readonly vif_map: ReadonlyMap<Ref<'VIF'>, Ref<'network'>>;
  readonly options: ReadonlyMap<string, string>;
}

/** Where each disk and each card goes; those of snapshots too. */
export interface LeavePlan {
  readonly repositories: ReadonlyMap<Ref, Ref<'SR'>>;
  readonly networks: ReadonlyMap<Ref, Ref<'network'>>;
}

type Asking = Pick<Working<'VM'>, 'view' | 'self' | 'record'>;

export const isCopy = ({ options }: Pick<LeaveArgs, 'options'>): boolean => options.get('copy') === 'true';
const insists = ({ options }: Pick<LeaveArgs, 'options'>): boolean => options.get('force') === 'true';

/** Only moves to another pool are built: others have `VDI.pool_migrate` and `VM.pool_migrate`. */
export const withinPool = (view: View, args: LeaveArgs): Fault | undefined => {
  if (view.get('host', (args.dest.get('host') ?? nullRef) as Ref<'host'>) === undefined) return undefined;
  if (isCopy(args)) return new Fault('OPERATION_NOT_ALLOWED', ['Within a pool use VM.copy']);
  return new Fault('NOT_IMPLEMENTED', [
    'VM.migrate_send within a pool: use VDI.pool_migrate and VM.pool_migrate',
  ]);
};

/** The VM and, unless only a copy of it leaves, what it was before. */
export const leavers = ({ self, record }: Asking, args: LeaveArgs): readonly Ref<'VM'>[] =>
  isCopy(args) ? [self] : [self, ...record.snapshots];

const textsIn = (value: Value): ReadonlyMap<string, string> =>
  new Map([...structOf(value)].map(([key, one]) => [key, stringOf(one)]));

/** The host there, as far as its record is looked at. */
const hostThere = async (pool: OtherPool) => {
  const record = await pool.call('host.get_record', pool.host);
  const versions = listOf(member(record, 'virtual_hardware_platform_versions'));
  return {
    enabled: boolOf(member(record, 'enabled')),
    virtual_hardware_platform_versions: versions.map((one) => BigInt(String(one))),
    cpu_info: textsIn(member(record, 'cpu_info')),
    software_version: textsIn(member(record, 'software_version')),
  };
};

const drivenDisks = (view: View, vm: Ref<'VM'>): readonly Ref<'VDI'>[] =>
  view
    .require('VM', vm)
    .VBDs.flatMap((ref) => view.get('VBD', ref) ?? [])
    .flatMap(({ type, empty, VDI }) => (type === 'CD' || empty ? [] : [VDI]));

/**
 * Throws what refuses the move, in the order in which clients know it. Answers where everything goes.
 */
export const planLeaving = async (asking: Asking, args: LeaveArgs, pool: OtherPool): Promise<LeavePlan> => {
  const { view, self, record } = asking;
  const within = withinPool(view, args);
  if (within !== undefined) throw within;
  const unmapped = drivenDisks(view, self).find((vdi) => !args.vdi_map.has(vdi));
  if (unmapped !== undefined) throw new Fault('VDI_NOT_IN_MAP', [unmapped]);
  const host = pool.host as Ref<'host'>;
  const machine = await hostThere(pool);
  const here = view.get('host', record.resident_on) ?? view.require('host', view.only('pool')[1].master);
  if (!isAtLeast(machine.software_version, here.software_version))
    throw new Fault('VM_HOST_INCOMPATIBLE_VERSION_MIGRATE', [self, host]);
  await assertMovable(view, args, pool);
  if (isCopy(args) && !insists(args) && record.power_state !== 'Halted')
    throw new Fault('VM_BAD_POWER_STATE', [self, 'halted', record.power_state.toLowerCase()]);
  demand(strangerRefusal({ self, vm: record, host, machine }, insists(args)));
  const networks = cardsPlaced(asking, args);
  for (const network of new Set(networks.values())) await pool.call('network.get_uuid', network);
  assertPlain(view, args);
  const repositories = await disksPlaced(asking, args, pool);
  if (record.power_state === 'Running' || record.power_state === 'Paused')
    throw new Fault('NOT_IMPLEMENTED', ['VM.migrate_send of a VM that runs: shut it down or suspend it']);
  return { repositories, networks };
};

const needed = { source: ['VDI_SNAPSHOT', 'VDI_MIRROR'], there: ['VDI_SNAPSHOT', 'VDI_MIRROR_IN'] } as const;

const assertMovable = async (view: View, { vdi_map }: LeaveArgs, pool: OtherPool): Promise<void> => {
  const drivers = vdi_map.size === 0 ? [] : [...structOf(await pool.call('SM.get_all_records')).values()];
  for (const [vdi, sr] of vdi_map) {
    const source = view.require('VDI', vdi).SR;
    const { uuid, type } = view.require('SR', source);
    const record = await pool.call('SR.get_record', sr);
    if (stringOf(member(record, 'uuid')) === uuid) continue;
    assertHas(source, featuresOf(view, type), needed.source);
    const there = stringOf(member(record, 'type'));
    const [driver] = drivers.filter((one) => stringOf(member(one, 'type')) === there);
    const features = driver === undefined ? [] : structOf(member(driver, 'features')).keys();
    assertHas(sr, new Map([...features].map((one) => [one, 1n])), needed.there);
  }
};

const assertHas = (sr: Ref<'SR'>, has: ReadonlyMap<string, bigint>, wanted: readonly string[]): void => {
  const able = (feature: string): boolean =>
    has.has(feature) || (feature === 'VDI_MIRROR_IN' && has.has('VDI_MIRROR'));
  const missing = wanted.filter((feature) => !able(feature));
  if (missing.length > 0) throw new Fault('SR_DOES_NOT_SUPPORT_MIGRATION', [sr, missing.join(';')]);
};

/** A card of a snapshot follows that of the VM with the same address. */
const cardsPlaced = ({ view, self, record }: Asking, { vif_map }: LeaveArgs): LeavePlan['networks'] => {
  const byAddress = new Map(
    [...vif_map].flatMap(([vif, network]) => {
      const card = view.get('VIF', vif);
      return card === undefined ? [] : [[card.MAC, network] as const];
    }),
  );
  const cards = [self, ...record.snapshots].flatMap((vm) => view.require('VM', vm).VIFs);
  return new Map(
    cards.map((vif) => {
      const network = vif_map.get(vif) ?? byAddress.get(view.require('VIF', vif).MAC);
      if (network === undefined) throw new Fault('VIF_NOT_IN_MAP', [vif]);
      return [vif, network] as const;
    }),
  );
};

const assertPlain = (view: View, { vdi_map }: LeaveArgs): void => {
  for (const vdi of vdi_map.keys())
    if (view.require('VDI', vdi).cbt_enabled) throw new Fault('VDI_CBT_ENABLED', [vdi]);
  for (const vdi of vdi_map.keys())
    if (view.require('VDI', vdi).sm_config.has('key_hash')) throw new Fault('VDI_IS_ENCRYPTED', [vdi]);
};

/** Disks of snapshots and saved memory go where they are told, else with their disk, else to the default. */
const disksPlaced = async (
  asking: Asking,
  args: LeaveArgs,
  pool: OtherPool,
): Promise<LeavePlan['repositories']> => {
  const { view } = asking;
  const vms = leavers(asking, args).map((vm): RecordNamed<'VM'> => view.require('VM', vm));
  const memory = vms.flatMap(({ power_state, suspend_VDI }) =>
    power_state === 'Suspended' ? [suspend_VDI] : [],
  );
  const disks = [...leavers(asking, args).flatMap((vm) => drivenDisks(view, vm)), ...memory];
  const placed = new Map<Ref, Ref<'SR'>>();
  for (const vdi of disks) {
    const { snapshot_of } = view.require('VDI', vdi);
    const sr = args.vdi_map.get(vdi) ?? args.vdi_map.get(snapshot_of) ?? (await defaultThere(pool));
    if (sr === undefined) throw new Fault('VDI_NOT_IN_MAP', [vdi]);
    placed.set(vdi, sr);
  }
  return placed;
};

const defaultThere = async (pool: OtherPool): Promise<Ref<'SR'> | undefined> => {
  const [record] = [...structOf(await pool.call('pool.get_all_records')).values()];
  const sr = record === undefined ? nullRef : stringOf(member(record, 'default_SR'));
  return sr === nullRef ? undefined : (sr as Ref<'SR'>);
};

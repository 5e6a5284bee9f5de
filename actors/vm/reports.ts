import { capabilityNumbers } from '../../src/drivers/capabilities.ts';
import type { DeviceId, Hypervisor, VbdState, VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { ClassName } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { clearLeftover } from '../../src/rules/leftovers.ts';
import { followGuest } from '../../src/rules/moved-disks.ts';
import { offerTpms, withTpms } from '../../src/rules/tpms.ts';
import type { Change } from '../../src/store/version.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { detachDevices } from './halting.ts';
import { naps } from './napping.ts';
import type { Operation } from './operations.ts';
import { ended, isHere, live, lives, type Reporting, runs, slept, write } from './reported.ts';
import { arriving, destinationOf } from './reserving.ts';
import { vbdByKey, vifByKey } from './state.ts';

export type ReportSources = Omit<Reporting, 'ending'>;

/** For `Hypervisor.watch`. */
export type VmReports = Parameters<Hypervisor['watch']>[0] & {
  /**
   * Brings all rows in line with what the daemon has. Once before `watch`, and after each time it was away.
   */
  reconcile(): Promise<void>;
  /** For `Store.watch`: a VM that was handed over to this host may have ended here before its row said so. */
  onRows(changes: readonly Change[]): void;
};

/** While one of these runs, rows of devices are its business: plugs that come and go are only steps of it. */
const moving: readonly Operation[] = [
  ...arriving,
  'suspend',
  'checkpoint',
  'shutdown',
  'clean_shutdown',
  'hard_shutdown',
  'clean_reboot',
  'hard_reboot',
  'pool_migrate',
];

/**
 * What the hypervisor of this host reports of VMs, written to their rows: beside work that brings a guest,
 * and attends it meanwhile, the only place that writes power states. A report is over once later commits,
 * and with them every answer, are behind its own. Only rows of VMs that are here, or on their way, are
 * written: a guest that runs here and should not is ended.
 */
export const vmReports = (sources: ReportSources): VmReports => {
  const by: Reporting = { ...sources, ending: new Set() };
  const { hypervisor } = by.services;
  return {
    onVm: (uuid, state) => onVm(by, uuid, state),
    onVbd: (id) => onDevice(by, 'VBD', id, vbdByKey, () => hypervisor.statVbd(id)),
    onVif: (id) => onDevice(by, 'VIF', id, vifByKey, () => hypervisor.statVif(id)),
    onReconnect: () => reconcile(by),
    onLost: (error) =>
      by.log.warn({ error }, 'The hypervisor daemon is away; it is tried again until it is back'),
    reconcile: () => reconcile(by),
    onRows: (changes) => {
      for (const { entry, before, after } of changes) {
        if (entry.cls === 'VM' && isHandedTo(by.services.host, before, after))
          hypervisor.reportAgain(String(after?.record['uuid']));
      }
    },
  };
};

/** By another host: one that came here by itself has its domain. */
const isHandedTo = (host: Ref<'host'>, before: Change['before'], after: Change['after']): boolean =>
  after?.record['resident_on'] === host &&
  before?.record['resident_on'] !== host &&
  after.record['domid'] === -1n;

const onVm = async (by: Reporting, uuid: string, state: VmState | undefined): Promise<void> => {
  const vm = by.store.latest.byUuid('VM', uuid);
  if (vm === undefined) {
    if (live(state)) by.log.warn({ uuid }, 'The hypervisor runs a VM that has no row; it is left alone');
    return;
  }
  // What it does on its way out is the business of what ends it.
  if (by.ending.has(uuid)) return;
  if (state === undefined || state.power_state === 'Halted') return ended(by, vm, uuid, state !== undefined);
  if (state.power_state === 'Suspended') return slept(by, vm, uuid);
  return lives(by, vm, uuid, state);
};

const onDevice = async <C extends 'VBD' | 'VIF'>(
  by: Reporting,
  cls: C,
  [uuid, key]: DeviceId,
  find: (view: Tx | Reporting['store']['latest'], vm: Ref<'VM'>, key: string) => Ref<C> | undefined,
  stat: () => Promise<VbdState | undefined>,
): Promise<void> => {
  const rows = by.store.latest;
  const vm = rows.byUuid('VM', uuid);
  if (vm === undefined || !live(rows.get('VM', vm)) || !isHere(by, vm)) return;
  const isMoving = runs(by, vm, moving);
  if (isMoving && rows.require('VM', vm).leftovers.size === 0) return;
  const ref = find(rows, vm, key);
  if (ref === undefined) return;
  // What is told of a step of a plug is old news by its end: the work itself says how it ended.
  const isBusy = (view: View): boolean => isMoving || (view.get(cls, ref)?.current_operations.size ?? 0) > 0;
  const isStep = isBusy(rows);
  const { plugged = false, disk } = (await stat()) ?? {};
  const left: Ref<'VDI'>[] = [];
  await write(by, vm, uuid, (tx) => {
    // The guest may have gone while the daemon was asked.
    if (tx.get(cls, ref) === undefined || !live(tx.get('VM', vm))) return;
    const changes =
      cls === 'VBD' && plugged ? { currently_attached: true, device: key } : { currently_attached: plugged };
    if (!isStep && !isBusy(tx)) tx.patch(cls, ref, changes as never);
    // Work that moves a disk says so itself.
    const isFollowed = cls === 'VBD' && !runs(by, vm, ['migrate_send']);
    if (isFollowed) left.push(...followGuest(tx, ref as Ref<'VBD'>, disk, by.services.host));
  });
  // Not awaited: that takes a storage plugin's time.
  for (const vdi of left) void clearLeftover(by, vm, vdi);
};

/** A start that was cut off by a crash has left memory set aside and devices attached to nothing. */
const hasLooseEnds = (by: Reporting, vm: Ref<'VM'>): boolean => {
  const rows = by.store.latest;
  const row = rows.get('VM', vm);
  if (row === undefined || live(row) || runs(by, vm, arriving) || naps(rows, vm)) return false;
  if (row.scheduled_to_be_resident_on !== nullRef || row.resident_on !== nullRef) return true;
  if (row.power_state !== 'Halted') return false;
  const vbds = row.VBDs.map((ref) => rows.get('VBD', ref));
  return [...vbds, ...row.VIFs.map((ref) => rows.get('VIF', ref))].some(
    (one) => one?.currently_attached === true || one?.reserved === true,
  );
};

const tidy = (tx: Tx, vm: Ref<'VM'>): void => {
  if (tx.require('VM', vm).power_state === 'Halted') detachDevices(tx, vm);
  tx.patch('VM', vm, {
    resident_on: nullRef as Ref<'host'>,
    scheduled_to_be_resident_on: nullRef as Ref<'host'>,
  });
};

/** A daemon that comes back may be another one, or find another emulator. */
const noteCapabilities = async ({ services, store, invoker }: Reporting): Promise<void> => {
  const { hypervisor, host } = services;
  const { capabilities } = await hypervisor.query();
  const guest_capabilities = capabilityNumbers(capabilities);
  const { version, features } = await hypervisor.hostStat();
  if (store.latest.get('host', host) === undefined) return;
  await invoker.decide('host' as ClassName, host, (tx) => {
    const { software_version, cpu_info, license_params } = tx.require('host', host);
    tx.patch('host', host, {
      guest_capabilities,
      software_version: new Map([...software_version, ['hypervisor', version]]),
      cpu_info: new Map([...cpu_info, ...features]),
      license_params: withTpms(license_params, capabilities.vtpm),
    });
    offerTpms(tx);
  });
};

const isCoordinator = (view: View, host: Ref<'host'>): boolean =>
  [...view.all('pool')].every(([, { master }]) => master === host);

const reconcile = async (by: Reporting): Promise<void> => {
  const { services, store } = by;
  await noteCapabilities(by);
  const there = new Map((await services.hypervisor.list()).map(({ id, state }) => [id, state]));
  for (const [vm, { uuid, is_control_domain }] of [...store.latest.all('VM')]) {
    if (is_control_domain) continue;
    const state = there.get(uuid);
    there.delete(uuid);
    const row = store.latest.get('VM', vm);
    const coming = destinationOf(store.latest, vm);
    // Of those that are nowhere the coordinator takes care.
    const nowhere =
      row?.resident_on === nullRef && coming === undefined && isCoordinator(store.latest, services.host);
    const ours = row?.resident_on === services.host || coming === services.host || nowhere;
    if (ours || state !== undefined) await onVm(by, uuid, state);
    if (ours && hasLooseEnds(by, vm)) await write(by, vm, uuid, (tx) => tidy(tx, vm));
  }
  for (const [uuid, state] of there) await onVm(by, uuid, state);
};

import type { DeviceId, Hypervisor, VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { ClassName } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { decidesAtOnce } from '../../src/objects/decided.ts';
import { vbdKey, vifKey } from '../../src/objects/guest-devices.ts';
import { unattendedWork } from '../../src/objects/hypervisor-work.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import type { Log } from '../../src/std/log.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { becomeHalted, becomeSuspended, detachDevices } from './halting.ts';
import { handOver } from './migrating.ts';
import type { Operation } from './operations.ts';
import { arriving, destinationOf } from './reserving.ts';
import { becomeLive, type Plugged, vbdByKey, vifByKey } from './state.ts';

export interface ReportSources {
  readonly invoker: Invoker;
  readonly store: Store;
  readonly services: Services;
  readonly log: Log;
}

/** For `Hypervisor.watch`. */
export type VmReports = Parameters<Hypervisor['watch']>[0] & {
  /** Brings all rows in line with what the daemon has. Once before `watch`, and after each time it was away. */
  reconcile(): Promise<void>;
};

/** While one of these runs, rows of devices are its business: plugs that come and go are only steps of it. */
const moving: readonly Operation[] = [
  'start',
  'start_on',
  'resume',
  'resume_on',
  'suspend',
  'shutdown',
  'clean_shutdown',
  'hard_shutdown',
  'clean_reboot',
  'hard_reboot',
  'pool_migrate',
];
const live = (state: { readonly power_state: string } | undefined): boolean =>
  state?.power_state === 'Running' || state?.power_state === 'Paused';

/** What a start that was cut off has left behind. */
const tidy = (tx: Tx, vm: Ref<'VM'>): void => {
  if (tx.require('VM', vm).power_state === 'Halted') detachDevices(tx, vm);
  tx.patch('VM', vm, { scheduled_to_be_resident_on: nullRef as Ref<'host'> });
};

/** How long after a write failed the daemon is asked to tell everything of the VM again. */
const repeatMs = 10_000;

/**
 * What the hypervisor of this host reports of VMs, written to their rows: the only place that writes power
 * states. A report is over once later commits, and with them every answer, are behind its own. Only rows of
 * VMs that are here, or on their way, are written: a guest that runs here and should not is ended.
 */
export const vmReports = ({ invoker, store, services, log }: ReportSources): VmReports => {
  const { hypervisor, host } = services;
  const rows = store.latest;
  const ending = new Set<string>();

  const isHere = (vm: Ref<'VM'>): boolean => rows.get('VM', vm)?.resident_on === host;

  const runs = (vm: Ref<'VM'>, operations: readonly Operation[]): boolean =>
    [...(rows.get('VM', vm)?.current_operations.values() ?? [])].some((one) => operations.includes(one));

  const write = (vm: Ref<'VM'>, uuid: string, make: (tx: Tx) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const once = (tx: Tx): void => {
        if (tx.get('VM', vm) !== undefined) make(tx);
        if (decidesAtOnce(services)) resolve();
      };
      invoker.decide('VM' as ClassName, vm, once).then(resolve, (error: unknown) => {
        log.error({ error, vm }, 'What the hypervisor reported of a VM could not be written');
        services.clock.after(repeatMs, () => {
          hypervisor.refresh(uuid).catch(() => {});
        });
        reject(error);
      });
    });

  /** Forgotten while its row still says that it runs, so that no start can come in between. */
  const forget = async (uuid: string): Promise<void> => {
    try {
      await hypervisor.remove(uuid);
    } catch (error) {
      log.debug({ error, uuid }, 'A VM that ended was not removed from the hypervisor');
    }
  };

  const pluggedDevices = async (vm: Ref<'VM'>, uuid: string): Promise<Plugged> => {
    const row = rows.require('VM', vm);
    const vbds = new Map<string, boolean>();
    const vifs = new Map<string, boolean>();
    for (const ref of row.VBDs) {
      const key = vbdKey(rows.require('VBD', ref), row);
      vbds.set(key, (await hypervisor.statVbd([uuid, key]))?.plugged === true);
    }
    for (const ref of row.VIFs) {
      const key = vifKey(rows.require('VIF', ref));
      vifs.set(key, (await hypervisor.statVif([uuid, key]))?.plugged === true);
    }
    return { vbds, vifs };
  };

  /** The daemon that a guest moved to has it, unless it says otherwise. */
  const left = async (vm: Ref<'VM'>, uuid: string, to: Ref<'host'>): Promise<void> => {
    await write(vm, uuid, (tx) => handOver(tx, vm, to));
    // Work that moves it asks by itself. Not awaited, as the other host may be out of reach.
    if (runs(vm, ['pool_migrate'])) return;
    invoker.call('VM.pool_migrate_complete', vm, { host: to }).catch((error: unknown) => {
      log.warn({ error, vm, host: to }, 'A host that a VM has moved to could not be asked about it');
    });
  };

  const ended = async (vm: Ref<'VM'>, uuid: string, known: boolean): Promise<void> => {
    if (!live(rows.get('VM', vm)) || !isHere(vm)) return;
    const to = destinationOf(rows, vm);
    if (!known && to !== undefined && to !== host) return left(vm, uuid, to);
    if (known) await forget(uuid);
    await write(vm, uuid, (tx) => {
      if (tx.get('VM', vm)?.resident_on === host) becomeHalted(tx, vm);
    });
  };

  /** Its row holds all that is needed to resume it anywhere, so that this daemon can forget it. */
  const slept = async (vm: Ref<'VM'>, uuid: string): Promise<void> => {
    if (!live(rows.get('VM', vm)) || !isHere(vm)) return;
    const { domains } = await hypervisor.exportMetadata(uuid, 'suspended');
    await write(vm, uuid, (tx) => {
      if (tx.get('VM', vm)?.resident_on === host) becomeSuspended(tx, vm, domains ?? '');
    });
    await forget(uuid);
  };

  /** Its host was given up, and it may run elsewhere by now: two of one would ruin its disks. */
  const end = async (vm: Ref<'VM'>, uuid: string): Promise<void> => {
    if (ending.has(uuid)) return;
    ending.add(uuid);
    log.error({ vm, uuid }, 'A VM runs here that the pool has halted or has elsewhere: it is ended');
    try {
      await hypervisor.shutdown(uuid, undefined, unattendedWork('VM.hard_shutdown'));
      await forget(uuid);
    } catch (error) {
      log.error({ error, vm, uuid }, 'A VM that must not run here could not be ended');
      services.clock.after(repeatMs, () => {
        hypervisor.refresh(uuid).catch(() => {});
      });
    } finally {
      ending.delete(uuid);
    }
  };

  const lives = async (vm: Ref<'VM'>, uuid: string, state: VmState): Promise<void> => {
    const expected = live(rows.get('VM', vm)) || runs(vm, arriving);
    const plugged = expected ? undefined : await pluggedDevices(vm, uuid);
    let wanted = true;
    await write(vm, uuid, (tx) => {
      const { resident_on, scheduled_to_be_resident_on } = tx.require('VM', vm);
      wanted = resident_on === host || scheduled_to_be_resident_on === host;
      if (wanted) becomeLive(tx, vm, state, { services, ...(plugged === undefined ? {} : { plugged }) });
      // A guest is not ended on the word of rows that may be old: the coordinator has to confirm them.
      else tx.touch('VM', vm);
    });
    // Not awaited: its end is reported as well.
    if (!wanted) void end(vm, uuid);
  };

  const onVm = async (uuid: string, state: VmState | undefined): Promise<void> => {
    const vm = rows.byUuid('VM', uuid);
    if (vm === undefined) {
      if (live(state)) log.warn({ uuid }, 'The hypervisor runs a VM that has no row; it is left alone');
      return;
    }
    // What it does on its way out is the business of what ends it.
    if (ending.has(uuid)) return;
    if (state === undefined || state.power_state === 'Halted') return ended(vm, uuid, state !== undefined);
    if (state.power_state === 'Suspended') return slept(vm, uuid);
    return lives(vm, uuid, state);
  };

  const device = async <C extends 'VBD' | 'VIF'>(
    cls: C,
    [uuid, key]: DeviceId,
    find: (vm: Ref<'VM'>) => Ref<C> | undefined,
    stat: () => Promise<{ readonly plugged: boolean } | undefined>,
  ): Promise<void> => {
    const vm = rows.byUuid('VM', uuid);
    if (vm === undefined || !live(rows.get('VM', vm)) || !isHere(vm) || runs(vm, moving)) return;
    const ref = find(vm);
    if (ref === undefined) return;
    const plugged = (await stat())?.plugged === true;
    await write(vm, uuid, (tx) => {
      // The guest may have gone while the daemon was asked.
      if (tx.get(cls, ref) === undefined || !live(tx.get('VM', vm))) return;
      const changes =
        cls === 'VBD' && plugged
          ? { currently_attached: true, device: key }
          : { currently_attached: plugged };
      tx.patch(cls, ref, changes as never);
    });
  };

  const hasLooseEnds = (vm: Ref<'VM'>): boolean => {
    const row = rows.get('VM', vm);
    if (row === undefined || live(row) || runs(vm, arriving)) return false;
    if (row.scheduled_to_be_resident_on !== nullRef) return true;
    if (row.power_state !== 'Halted') return false;
    const vbds = row.VBDs.map((ref) => rows.get('VBD', ref));
    return [...vbds, ...row.VIFs.map((ref) => rows.get('VIF', ref))].some(
      (one) => one?.currently_attached === true || one?.reserved === true,
    );
  };

  const reconcile = async (): Promise<void> => {
    const there = new Map((await hypervisor.list()).map(({ id, state }) => [id, state]));
    for (const [vm, { uuid, is_control_domain, resident_on }] of [...rows.all('VM')]) {
      if (is_control_domain) continue;
      const state = there.get(uuid);
      there.delete(uuid);
      const coming = destinationOf(rows, vm);
      // Of those that are nowhere the coordinator takes care.
      const nowhere = resident_on === nullRef && coming === undefined && decidesAtOnce(services);
      if (state === undefined && resident_on !== host && coming !== host && !nowhere) continue;
      await onVm(uuid, state);
      // A start that was cut off by a crash has left devices attached to nothing.
      if (hasLooseEnds(vm)) await write(vm, uuid, (tx) => tidy(tx, vm));
    }
    for (const [uuid, state] of there) await onVm(uuid, state);
  };

  return {
    onVm,
    onVbd: (id) =>
      device(
        'VBD',
        id,
        (vm) => vbdByKey(rows, vm, id[1]),
        () => hypervisor.statVbd(id),
      ),
    onVif: (id) =>
      device(
        'VIF',
        id,
        (vm) => vifByKey(rows, vm, id[1]),
        () => hypervisor.statVif(id),
      ),
    onReconnect: reconcile,
    onLost: (error) =>
      log.warn({ error }, 'The hypervisor daemon is away; it is tried again until it is back'),
    reconcile,
  };
};

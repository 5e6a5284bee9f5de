import type { DeviceId, Hypervisor, VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { ClassName } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { vbdKey, vifKey } from '../../src/objects/guest-devices.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import type { Log } from '../../src/std/log.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { becomeHalted, becomeSuspended, detachDevices } from './halting.ts';
import type { Operation } from './operations.ts';
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
];
const arriving: readonly Operation[] = ['start', 'start_on', 'resume', 'resume_on'];

const live = (state: { readonly power_state: string } | undefined): boolean =>
  state?.power_state === 'Running' || state?.power_state === 'Paused';

/** How long after a write failed the daemon is asked to tell everything of the VM again. */
const repeatMs = 10_000;

/**
 * What the hypervisor reports of VMs, written to their rows: the only place that writes power states.
 * A report is over once its commit is staged: later commits, and with them every answer, are behind it.
 */
export const vmReports = ({ invoker, store, services, log }: ReportSources): VmReports => {
  const { hypervisor } = services;
  const rows = store.latest;

  const runs = (vm: Ref<'VM'>, operations: readonly Operation[]): boolean =>
    [...(rows.get('VM', vm)?.current_operations.values() ?? [])].some((one) => operations.includes(one));

  const write = (vm: Ref<'VM'>, uuid: string, make: (tx: Tx) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const once = (tx: Tx): void => {
        if (tx.get('VM', vm) !== undefined) make(tx);
        resolve();
      };
      invoker.decide('VM' as ClassName, vm, once).catch((error: unknown) => {
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

  const ended = async (vm: Ref<'VM'>, uuid: string, known: boolean): Promise<void> => {
    if (!live(rows.get('VM', vm))) return;
    if (known) await forget(uuid);
    await write(vm, uuid, (tx) => becomeHalted(tx, vm));
  };

  const slept = async (vm: Ref<'VM'>, uuid: string): Promise<void> => {
    if (!live(rows.get('VM', vm))) return;
    const { domains } = await hypervisor.exportMetadata(uuid, 'suspended');
    await write(vm, uuid, (tx) => becomeSuspended(tx, vm, domains ?? ''));
  };

  const lives = async (vm: Ref<'VM'>, uuid: string, state: VmState): Promise<void> => {
    const expected = live(rows.get('VM', vm)) || runs(vm, arriving);
    const plugged = expected ? undefined : await pluggedDevices(vm, uuid);
    await write(vm, uuid, (tx) =>
      becomeLive(tx, vm, state, { services, ...(plugged === undefined ? {} : { plugged }) }),
    );
  };

  const onVm = async (uuid: string, state: VmState | undefined): Promise<void> => {
    const vm = rows.byUuid('VM', uuid);
    if (vm === undefined) {
      if (live(state)) log.warn({ uuid }, 'The hypervisor runs a VM that has no row; it is left alone');
      return;
    }
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
    if (vm === undefined || !live(rows.get('VM', vm)) || runs(vm, moving)) return;
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
    if (row?.power_state !== 'Halted' || runs(vm, arriving)) return false;
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
      const row = rows.get('VM', vm);
      if (row === undefined || (resident_on !== services.host && live(row) && !live(state))) continue;
      await onVm(uuid, state);
      // A start that was cut off by a crash has left devices attached to nothing.
      if (hasLooseEnds(vm)) await write(vm, uuid, (tx) => detachDevices(tx, vm));
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

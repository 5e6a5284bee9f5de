import type { VmState, XenopsDisk } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { ClassName } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { vbdKey, vifKey } from '../../src/rules/guest-devices.ts';
import { unattendedWork } from '../../src/rules/hypervisor-work.ts';
import { clearLeftover } from '../../src/rules/leftovers.ts';
import { followGuest } from '../../src/rules/moved-disks.ts';
import type { Log } from '../../src/std/log.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { becomeHalted, becomeSuspended } from './halting.ts';
import { keep, keeps } from './kept.ts';
import { handOver } from './migrating.ts';
import { naps } from './napping.ts';
import type { Operation } from './operations.ts';
import { arriving, destinationOf } from './reserving.ts';
import { becomeLive, type Plugged } from './state.ts';

// What becomes of a VM's row when the hypervisor of this host says how its guest is.

export interface Reporting {
  readonly invoker: Invoker;
  readonly store: Store;
  readonly services: Services;
  readonly log: Log;
  /** Guests that are being ended because they must not run here, by uuid. */
  readonly ending: Set<string>;
}

/** How long after a write failed the VM is reported again: a disk that takes nothing now may take it then. */
const repeatMs = 2_000;

export const live = (state: { readonly power_state: string } | undefined): boolean =>
  state?.power_state === 'Running' || state?.power_state === 'Paused';

export const runs = ({ store }: Reporting, vm: Ref<'VM'>, operations: readonly Operation[]): boolean =>
  [...(store.latest.get('VM', vm)?.current_operations.values() ?? [])].some((one) =>
    operations.includes(one),
  );

/** Only these rows are this host's to write. */
export const isHere = ({ store, services }: Reporting, vm: Ref<'VM'>): boolean =>
  store.latest.get('VM', vm)?.resident_on === services.host;

const tellAgain = ({ services }: Reporting, uuid: string): void => {
  services.clock.after(repeatMs, () => services.hypervisor.reportAgain(uuid));
};

/** Resolves once later commits, and with them every answer, are behind this one. */
export const write = (by: Reporting, vm: Ref<'VM'>, uuid: string, make: (tx: Tx) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const once = (tx: Tx): void => {
      if (tx.get('VM', vm) !== undefined) make(tx);
      if (by.services.store.decides) resolve();
    };
    by.invoker.decide('VM' as ClassName, vm, once).then(resolve, (error: unknown) => {
      by.log.error({ error, vm }, 'What the hypervisor reported of a VM could not be written');
      tellAgain(by, uuid);
      reject(error);
    });
  });

/** Forgotten while its row still says that it runs, so that no start can come in between. */
const forget = async ({ services, log }: Reporting, uuid: string): Promise<void> => {
  try {
    await services.hypervisor.remove(uuid);
  } catch (error) {
    log.debug({ error, uuid }, 'A VM that ended was not removed from the hypervisor');
  }
};

/** The daemon that a guest moved to has it, unless it says otherwise. */
const left = async (by: Reporting, vm: Ref<'VM'>, uuid: string, to: Ref<'host'>): Promise<void> => {
  await write(by, vm, uuid, (tx) => handOver(tx, vm, to));
  // Work that moves it asks by itself. Not awaited, as the other host may be out of reach.
  if (runs(by, vm, ['pool_migrate'])) return;
  by.invoker.call('VM.pool_migrate_complete', vm, { host: to }).catch((error: unknown) => {
    by.log.warn({ error, vm, host: to }, 'A host that a VM has moved to could not be asked about it');
  });
};

/** `known`: the daemon still has it, halted. */
export const ended = async (by: Reporting, vm: Ref<'VM'>, uuid: string, known: boolean): Promise<void> => {
  const { host } = by.services;
  if (!live(by.store.latest.get('VM', vm)) || !isHere(by, vm)) return;
  const to = destinationOf(by.store.latest, vm);
  if (!known && to !== undefined && to !== host) return left(by, vm, uuid, to);
  if (known) {
    await followDisks(by, vm, uuid);
    await followKept(by, vm, uuid);
    await forget(by, uuid);
  }
  await write(by, vm, uuid, (tx) => {
    if (tx.get('VM', vm)?.resident_on === host) becomeHalted(tx, vm);
  });
};

/** What its devices have kept, which goes with the guest once it is forgotten. */
const followKept = async (by: Reporting, vm: Ref<'VM'>, uuid: string): Promise<void> => {
  const { hypervisor, host } = by.services;
  if (!keeps(by.store.latest, vm)) return;
  const kept = await hypervisor.kept(uuid);
  await write(by, vm, uuid, (tx) => {
    if (tx.get('VM', vm)?.resident_on === host) keep(tx, vm, kept, by.services);
  });
};

/** Which disks a guest has, one of which may have moved: nobody can say so once it is forgotten. */
const followDisks = async (by: Reporting, vm: Ref<'VM'>, uuid: string): Promise<void> => {
  const { hypervisor, host } = by.services;
  const rows = by.store.latest;
  const row = rows.require('VM', vm);
  if (row.leftovers.size === 0) return;
  const disks = new Map<Ref<'VBD'>, XenopsDisk | undefined>();
  for (const drive of row.VBDs) {
    const state = await hypervisor.statVbd([uuid, vbdKey(rows.require('VBD', drive), row)]);
    disks.set(drive, state?.disk);
  }
  const left: Ref<'VDI'>[] = [];
  await write(by, vm, uuid, (tx) => {
    if (tx.get('VM', vm)?.resident_on !== host) return;
    for (const [drive, disk] of disks) left.push(...followGuest(tx, drive, disk, host));
  });
  // Work that moves one destroys the old one itself.
  if (!runs(by, vm, ['migrate_send'])) for (const vdi of left) void clearLeftover(by, vm, vdi);
};

/** Its row holds all that is needed to resume it anywhere, so that this daemon can forget it. */
export const slept = async (by: Reporting, vm: Ref<'VM'>, uuid: string): Promise<void> => {
  const { host, hypervisor } = by.services;
  if (!live(by.store.latest.get('VM', vm)) || !isHere(by, vm)) return;
  await followDisks(by, vm, uuid);
  await followKept(by, vm, uuid);
  const { domains } = await hypervisor.exportMetadata(uuid, 'suspended');
  await write(by, vm, uuid, (tx) => {
    if (tx.get('VM', vm)?.resident_on === host) becomeSuspended(tx, vm, domains ?? '');
  });
  await forget(by, uuid);
};

/** Its host was given up, and it may run elsewhere by now: two of one would ruin its disks. */
const end = async (by: Reporting, vm: Ref<'VM'>, uuid: string): Promise<void> => {
  const { ending, log, services } = by;
  if (ending.has(uuid)) return;
  ending.add(uuid);
  log.error({ vm, uuid }, 'A VM runs here that the pool has halted or has elsewhere: it is ended');
  try {
    await services.hypervisor.shutdown(uuid, undefined, unattendedWork('VM.hard_shutdown'));
    await forget(by, uuid);
  } catch (error) {
    log.error({ error, vm, uuid }, 'A VM that must not run here could not be ended');
    tellAgain(by, uuid);
  } finally {
    ending.delete(uuid);
  }
};

const pluggedDevices = async (
  { store, services }: Reporting,
  vm: Ref<'VM'>,
  uuid: string,
): Promise<Plugged> => {
  const { latest: rows } = store;
  const { hypervisor } = services;
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

/** The guest runs here: as the rows want it to, or it must not. */
export const lives = async (by: Reporting, vm: Ref<'VM'>, uuid: string, state: VmState): Promise<void> => {
  const { services } = by;
  const row = by.store.latest.get('VM', vm);
  const expected = live(row) || runs(by, vm, arriving) || naps(by.store.latest, vm);
  const arrival = expected ? { services } : { services, plugged: await pluggedDevices(by, vm, uuid) };
  let wanted = true;
  await write(by, vm, uuid, (tx) => {
    const { resident_on, scheduled_to_be_resident_on: coming } = tx.require('VM', vm);
    wanted = resident_on === services.host || coming === services.host;
    if (wanted) becomeLive(tx, vm, state, arrival);
    // A guest is not ended on the word of rows that may be old: the coordinator has to confirm them.
    else tx.touch('VM', vm);
  });
  // Not awaited: its end is reported as well.
  if (!wanted) void end(by, vm, uuid);
};

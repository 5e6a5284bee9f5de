import { isLost, type XenopsWork } from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { unattendedWork, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { assertFits } from '../../src/rules/placement/choice.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { becomeHalted } from './halting.ts';
import type { VmHandlers } from './handlers.ts';
import { destinationOf } from './reserving.ts';

// A guest that moves while it runs. Its row says all along who may run it: the host where it is resident, and
// the one that it is scheduled for, which becomes its home in the commit that hands it over.

type Vm = Working<'VM'>;

const noHost = nullRef as Ref<'host'>;
const method = 'VM.pool_migrate';

/**
 * The daemon of the destination did not say whether it has the guest by now: it is asked again this often.
 */
export const askingsMax = 30;
const askMs = 2_000;

const isTrue = (value: string | undefined): boolean => value === 'true';

interface Move {
  readonly host: Ref<'host'>;
  readonly options: ReadonlyMap<string, string>;
}

/** Also a guest that may not stand it, or a processor that lacks what it has seen. */
const insists = ({ options }: Pick<Move, 'options'>): boolean => isTrue(options.get('force'));

/** The guest belongs to the host that it was scheduled for; it may have said so itself already. */
export const handOver = (tx: Tx, self: Ref<'VM'>, host: Ref<'host'>): void => {
  if (destinationOf(tx, self) !== host) return;
  tx.patch('VM', self, { resident_on: host, scheduled_to_be_resident_on: noHost, domid: -1n });
};

/** What a coordinator finds of a migration whose hosts are gone. */
const noteStep = (working: Vm, to: Ref<'host'>) => {
  const ref = newRef<'xenact_step'>(working.services);
  const { self, task, services } = working;
  return {
    begin: (tx: Tx) =>
      tx.create('xenact_step', ref, {
        operation: method,
        self,
        task,
        from: services.host,
        to,
        step: 'memory is on its way',
      }),
    end: (tx: Tx) => tx.delete('xenact_step', ref),
  };
};

const takeBack = (tx: Tx, self: Ref<'VM'>, host: Ref<'host'>, from: Ref<'host'>): void => {
  const row = tx.get('VM', self);
  if (row?.resident_on !== from || row.scheduled_to_be_resident_on !== host) return;
  tx.patch('VM', self, { scheduled_to_be_resident_on: noHost });
};

/**
 * Whether the guest is still this host's for sure: only then may the memory set aside for it be given back.
 */
const stays = async ({ services, record }: Vm, error: unknown): Promise<boolean> => {
  if (!isLost(error)) return true;
  const state = await services.hypervisor.stat(record.uuid).catch(() => undefined);
  return state?.power_state === 'Running';
};

const move = async (working: Vm, host: Ref<'host'>, compress: boolean, how: XenopsWork): Promise<void> => {
  const { services, record } = working;
  if (services.migrationTo === undefined) throw new Fault('HOST_OFFLINE', [host]);
  const way = await services.migrationTo(host, how.signal);
  try {
    await services.hypervisor.migrate(record.uuid, { url: way.url, compress }, how);
  } finally {
    await way.close();
  }
};

/**
 * Moves the guest. Where it is stays open as long as its two hosts cannot hear each other, so that is waited
 * out.
 */
const moveFor = async (working: Vm, host: Ref<'host'>, options: ReadonlyMap<string, string>) => {
  const compress = isTrue(options.get('compress'));
  for (let askings = 0; ; askings += 1) {
    try {
      // Whoever gives the move up can no longer once it is open who has the guest.
      const how = askings === 0 ? xenopsWork(working, method) : unattendedWork(method);
      return await move(working, host, compress, how);
    } catch (error) {
      const settled = askings === 0 && (await stays(working, error));
      if (settled) throw isLost(error) ? new Fault('CANNOT_CONTACT_HOST', [host]) : error;
      const { resident_on } = working.record;
      // The destination has said that the guest is there.
      if (resident_on === host) return;
      // It was declared dead: nobody waits for it any more.
      if (destinationOf(working.view, working.self) !== host) throw new Fault('CANNOT_CONTACT_HOST', [host]);
      if (askings >= askingsMax) throw new OpenEnd(host);
      await sleep(working.services.clock, askMs);
    }
  }
};

/** The guest is with one of two hosts, and which is not known yet. */
class OpenEnd extends Fault {
  constructor(host: Ref<'host'>) {
    super('CANNOT_CONTACT_HOST', [host]);
    this.name = 'OpenEnd';
  }
}

const migrate = async (working: Vm, { host, options }: Move): Promise<void> => {
  const { self, services } = working;
  // It is there already.
  if (host === services.host) return;
  if (services.migrationTo === undefined) throw new Fault('HOST_OFFLINE', [host]);
  const step = noteStep(working, host);
  let open = false;
  working.undo(async () => {
    if (open) return;
    await working.commit((tx) => {
      takeBack(tx, self, host, services.host);
      step.end(tx);
    });
    // Here it was said to be gone meanwhile, so the other host has it, or it has ended.
    if (working.record.resident_on === host) await working.call('VM.pool_migrate_complete', self, { host });
  });
  await working.commit((tx) => {
    assertFits(tx, self, host, insists({ options }));
    tx.patch('VM', self, { scheduled_to_be_resident_on: host });
    step.begin(tx);
  });
  working.signal.throwIfAborted();
  await moveFor(working, host, options).catch((error: unknown) => {
    open = error instanceof OpenEnd;
    throw error;
  });
  open = true;
  await working.commit((tx) => {
    handOver(tx, self, host);
    step.end(tx);
  });
  await working.call('VM.pool_migrate_complete', self, { host });
};

/** On the host where a guest should be: the row is made to say what the daemon has. */
const complete = async (working: Vm): Promise<void> => {
  const { self, services } = working;
  const { uuid } = working.record;
  const state = await services.hypervisor.stat(uuid);
  if (state?.power_state === 'Running' || state?.power_state === 'Paused') {
    await services.hypervisor.refresh(uuid);
    await services.hypervisor.barrier(uuid);
    return;
  }
  working.settle((tx) => {
    if (tx.get('VM', self)?.resident_on === services.host) becomeHalted(tx, self);
  });
};

/** Refusals that can be told before anything is done. */
const refusal = (view: View, self: Ref<'VM'>, { host, options }: Move): Fault | undefined => {
  if (view.get('VM', self)?.resident_on === host) return undefined;
  try {
    assertFits(view, self, host, insists({ options }));
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
};

export const migrating = {
  pool_migrate: { operation: 'pool_migrate', insists, unless: refusal, work: migrate },
  pool_migrate_complete: { on: ({ host }) => host, work: complete },
} satisfies VmHandlers;

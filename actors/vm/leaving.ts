import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { reading } from '../../src/rules/disk-use.ts';
import { type OtherPool, otherPool, taskEnd } from '../../src/rules/other-pool.ts';
import { drivesInUse } from '../../src/rules/storage-rows.ts';
import { mapsTo } from '../../src/rules/xva/arriving.ts';
import { type OvaObject, ovaDisks, ovaObjects } from '../../src/rules/xva/ova.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Struct, Value } from '../../src/std/value.ts';
import type { View } from '../../src/store/view.ts';
import { clearAway, noteDeparture, strikeDeparture } from './departures.ts';
import { disksOf, fieldsIn, fileOf } from './exporting.ts';
import type { VmHandlers } from './handlers.ts';
import {
  isCopy,
  type LeaveArgs,
  type LeavePlan,
  leavers,
  planLeaving,
  withinPool,
} from './leaving-checks.ts';

// A VM goes to another pool as the file that an export makes, which that pool imports: what it has of a file
// that did not end it takes back by itself.

type Vm = Working<'VM'>;

/** Moves at once from one host. */
const MOVES_MAX = 3;
const askMs = 500;

const refusal = (view: View, _self: Ref<'VM'>, args: LeaveArgs): Fault | undefined => {
  const moving = [...view.all('VM')].filter(([, { current_operations }]) =>
    [...current_operations.values()].includes('migrate_send'),
  );
  if (moving.length >= MOVES_MAX) return new Fault('TOO_MANY_STORAGE_MIGRATES', [`${MOVES_MAX}`]);
  return withinPool(view, args);
};

const holds = (args: LeaveArgs, view: View, self: Ref<'VM'>): readonly Hold[] => {
  const record = view.require('VM', self);
  const vms = leavers({ view, self, record }, args);
  const isHeld = (vdi: Ref<'VDI'>): boolean =>
    record.power_state === 'Suspended' &&
    drivesInUse(view, view.require('VDI', vdi)).every(({ VM }) => VM === self);
  // One that runs is refused once all else was looked at.
  const isStill = record.power_state === 'Halted' || record.power_state === 'Suspended';
  const disks = new Set(isStill ? vms.flatMap((vm) => disksOf(view, vm, true)) : []);
  return [
    ...vms.filter((vm) => vm !== self).map((ref): Hold => ({ cls: 'VM', ref, operation: 'export' })),
    ...[...disks].filter((vdi) => !isHeld(vdi)).map(reading),
  ];
};

/** The objects of the file, each with where it is to go. */
const told = (objects: readonly OvaObject[], { repositories, networks }: LeavePlan): readonly OvaObject[] =>
  objects.map((one) => {
    const goes = one.cls === 'VDI' ? repositories.get(one.ref) : networks.get(one.ref);
    if (goes === undefined) return one;
    const other_config = new Map([...(one.record['other_config'] as Struct), [mapsTo, goes as Value]]);
    return { ...one, record: { ...one.record, other_config } };
  });

const fileFor = (working: Vm, args: LeaveArgs, plan: LeavePlan, ending: () => void) => {
  const { view, self, services } = working;
  const rest = { without: [], parents: false } as const;
  const wanted = { vms: [self], preserve: true, snapshots: !isCopy(args), ...rest };
  const objects = told(ovaObjects(view, fieldsIn(services.store), wanted), plan);
  return fileOf(working, objects, ovaDisks(objects), ending);
};

/** Sends it and answers the task's end, which says best what went wrong on the way. */
const sent = async (working: Vm, sending: Sending): Promise<readonly string[] | Fault> => {
  const { pool, later, task, file } = sending;
  const query = new URLSearchParams({ session_id: pool.session, task_id: task, restore: `${file.restore}` });
  const at = { method: 'PUT', path: `/import?${query}`, contentType: 'application/octet-stream' } as const;
  let failure: unknown;
  try {
    const { status } = await pool.send({ ...at, body: file.bytes });
    if (status >= 300 && status < 400) return sentElsewhere(working, pool);
  } catch (error) {
    failure = error;
    if (working.signal.aborted) await later.call('task.cancel', task).catch(() => undefined);
  }
  const end = await endOf(working, sending);
  if (end === undefined && file.isWhole()) throw new OpenEnd(pool.address);
  if (failure instanceof Fault && !Array.isArray(end)) return failure;
  // Without its end no pool takes a file.
  return end ?? new Fault('CANNOT_CONTACT_HOST', [pool.address]);
};

const sentElsewhere = ({ self, services }: Vm, { host }: OtherPool): Fault =>
  new Fault('VM_MIGRATE_FAILED', [
    ...[self, services.host, host],
    'That pool has VMs taken by a host whose certificate it did not tell: give it a default SR that its ' +
      'coordinator reaches',
  ]);

interface Sending {
  readonly pool: OtherPool;
  /** The same, for what must be asked when the caller has gone. */
  readonly later: OtherPool;
  readonly task: string;
  readonly file: {
    readonly bytes: AsyncIterable<Uint8Array>;
    readonly restore: boolean;
    readonly isWhole: () => boolean;
  };
}

/** Nobody can say on which side the VM is. */
class OpenEnd extends Fault {
  constructor(address: string) {
    super('CANNOT_CONTACT_HOST', [address]);
    this.name = 'OpenEnd';
  }
}

/** How often a pool is asked what became of a file, and how often it may not answer. */
const patience = {
  whole: { asksMax: 1_200, unansweredMax: 60 },
  part: { asksMax: 10, unansweredMax: 2 },
} as const;

/** Undefined: that pool does not say. */
const endOf = async (
  { services }: Vm,
  { later, task, file }: Sending,
): Promise<readonly string[] | Fault | undefined> => {
  const { asksMax, unansweredMax } = patience[file.isWhole() ? 'whole' : 'part'];
  let unanswered = 0;
  for (let asks = 0; asks < asksMax && unanswered < unansweredMax; asks += 1) {
    if (asks > 0) await sleep(services.clock, askMs);
    try {
      const end = await taskEnd(later, task);
      if (end !== undefined) return end;
      unanswered = 0;
    } catch {
      unanswered += 1;
    }
  }
  return undefined;
};

const send = async (working: Vm, args: LeaveArgs): Promise<Ref<'VM'>> => {
  const { self, services, signal, record } = working;
  const pool = otherPool(services, args.dest, signal);
  const later = otherPool(services, args.dest);
  const isMove = !isCopy(args);
  // It may be there already, where that could not be found out before.
  const there = record.departure.size > 0 ? await vmThere(pool, record.uuid) : undefined;
  if (there !== undefined) return leave(working, there);
  const plan = await planLeaving(working, args, pool);
  const task = String(await pool.call('task.create', 'VM.migrate_send', record.uuid));
  let isOpen = false;
  if (isMove) {
    working.undo(() => (isOpen ? undefined : working.commit((tx) => strikeDeparture(tx, self))));
    await working.commit((tx) => noteDeparture(tx, self, args.dest, task));
  }
  let isWhole = false;
  const bytes = fileFor(working, args, plan, () => {
    isWhole = true;
  });
  const file = { bytes, restore: isMove, isWhole: () => isWhole };
  const end = await sent(working, { pool, later, task, file }).catch((error: unknown) => {
    isOpen = error instanceof OpenEnd;
    throw error;
  });
  isOpen = !(end instanceof Fault);
  await later.call('task.destroy', task).catch(() => undefined);
  if (end instanceof Fault) {
    signal.throwIfAborted();
    throw end;
  }
  const [made] = end;
  const vm = (made ?? nullRef) as Ref<'VM'>;
  return isMove ? leave(working, vm) : vm;
};

const vmThere = async (pool: OtherPool, uuid: string): Promise<Ref<'VM'> | undefined> => {
  try {
    return (await pool.call('VM.get_by_uuid', uuid)) as Ref<'VM'>;
  } catch (error) {
    if (error instanceof Fault && error.code === 'UUID_INVALID') return undefined;
    throw error;
  }
};

/** The other side has it: there is no way back, and what is left here goes. */
const leave = async (working: Vm, there: Ref<'VM'>): Promise<Ref<'VM'>> => {
  const { self, services, record, call } = working;
  if (record.power_state === 'Suspended')
    await services.hypervisor.remove(record.uuid).catch((error: unknown) => {
      services.log.debug({ error, vm: self }, 'A suspended VM was not removed from the hypervisor');
    });
  working.settle(await clearAway({ store: services.store, services, invoker: { call } }, self));
  return there;
};

const ask = async (working: Vm, args: LeaveArgs): Promise<void> => {
  await planLeaving(working, args, otherPool(working.services, args.dest, working.signal));
};

export const leaving = {
  migrate_send: { operation: 'migrate_send', unless: refusal, holds, work: send },
  assert_can_migrate: { work: ask },
} satisfies VmHandlers;

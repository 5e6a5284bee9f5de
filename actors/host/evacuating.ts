import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { isLive } from '../../src/objects/places.ts';
import { chooseHost } from '../../src/rules/placement/choice.ts';
import { memoryOfHosts, neededBytes, withGuest } from '../../src/rules/placement/memory.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';

type Host = Working<'host'>;
type Reason = readonly [code: string, ...params: string[]];

/** Where each guest of a host goes, and why the others cannot leave. */
interface Plan {
  readonly moves: ReadonlyMap<Ref<'VM'>, Ref<'host'>>;
  readonly stuck: ReadonlyMap<Ref<'VM'>, Reason>;
}

/** Guests that move at once, where nobody says how many. */
const batchDefault = 10;
/** More than this would only slow each other down. */
export const batchMax = 50;

export const guestsOn = (view: View, host: Ref<'host'>): readonly Ref<'VM'>[] =>
  view.require('host', host).resident_VMs.filter((vm) => view.get('VM', vm)?.is_control_domain === false);

/** Large ones first, as they are the hardest to find room for. */
const bySize = (view: View, vms: readonly Ref<'VM'>[]): readonly Ref<'VM'>[] => {
  const sizeOf = (vm: Ref<'VM'>): bigint => neededBytes(view.require('VM', vm));
  return vms.toSorted((a, b) => (sizeOf(a) === sizeOf(b) ? 0 : sizeOf(a) > sizeOf(b) ? -1 : 1));
};

const reasonOf = (error: unknown): Reason => {
  if (error instanceof Fault) return [error.code, ...error.params];
  throw error;
};

const takesGuests = (view: View, host: Ref<'host'>): boolean =>
  view.require('host', host).enabled && isLive(view, host);

/** One guest after the other, each where there is still room after those before it. */
const planOf = async ({ view, call, self }: Pick<Host, 'view' | 'call' | 'self'>): Promise<Plan> => {
  const memory = new Map(
    [...memoryOfHosts(view)].filter(([host]) => host !== self && takesGuests(view, host)),
  );
  const moves = new Map<Ref<'VM'>, Ref<'host'>>();
  const stuck = new Map<Ref<'VM'>, Reason>();
  for (const vm of bySize(view, guestsOn(view, self))) {
    try {
      if (memory.size === 0) throw new Fault('NO_HOSTS_AVAILABLE');
      await call('VM.assert_operation_valid', vm, { op: 'pool_migrate' });
      const host = chooseHost(view, vm, { memory });
      moves.set(vm, host);
      const room = memory.get(host);
      if (room !== undefined) memory.set(host, withGuest(room, view.require('VM', vm)));
    } catch (error) {
      stuck.set(vm, reasonOf(error));
    }
  }
  return { moves, stuck };
};

const assertAllLeave = ({ stuck }: Plan): void => {
  const reasons = [...stuck].map(([vm, reason]) => [...reason, vm].join(','));
  if (reasons.length > 0) throw new Fault('CANNOT_EVACUATE_HOST', [reasons.join('|')]);
};

export const stuckGuests = async (working: Host): Promise<Plan['stuck']> => (await planOf(working)).stuck;

export const assertCanEvacuate = async (working: Host): Promise<void> =>
  assertAllLeave(await planOf(working));

interface EvacuateArgs {
  readonly network: Ref<'network'>;
  readonly evacuate_batch_size: bigint;
}

const batchOf = (size: bigint): number => {
  if (size < 0n) throw new Fault('INVALID_VALUE', ['evacuate_batch_size', String(size)]);
  return size === 0n ? batchDefault : Math.min(Number(size), batchMax);
};

const assertConnected = (view: View, network: Ref<'network'>, hosts: Iterable<Ref<'host'>>): void => {
  if (view.get('network', network) === undefined) return;
  const cards = view.require('network', network).PIFs.map((ref) => view.get('PIF', ref));
  const reached = new Set(
    cards.filter((card) => card?.IP !== '' || card.IPv6.length > 0).map((card) => card?.host),
  );
  for (const host of hosts) {
    if (!reached.has(host)) throw new Fault('HOST_CANNOT_ATTACH_NETWORK', [host, network]);
  }
};

/** Moves every guest away, some at a time. What has moved by the time that one cannot stays where it went. */
export const evacuate = async (working: Host, args: EvacuateArgs): Promise<void> => {
  const { view, self, call, signal, progress } = working;
  const batch = batchOf(args.evacuate_batch_size);
  const plan = await planOf(working);
  assertAllLeave(plan);
  assertConnected(view, args.network, [self, ...plan.moves.values()]);
  const left = [...plan.moves];
  const faults: string[] = [];
  let done = 0;
  const next = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      const [vm, host] = one;
      signal.throwIfAborted();
      try {
        await call('VM.pool_migrate', vm, { host, options: new Map([['live', 'true']]) });
      } catch (error) {
        // One that ended by itself meanwhile has left as well.
        if (view.get('VM', vm)?.resident_on === self) faults.push([...reasonOf(error), vm].join(','));
      }
      done += 1;
      progress(done / plan.moves.size);
    }
  };
  await Promise.all(Array.from({ length: Math.min(batch, left.length) }, next));
  if (faults.length > 0) throw new Fault('CANNOT_EVACUATE_HOST', [faults.join('|')]);
};

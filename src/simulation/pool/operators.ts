import type { Ref } from '../../model/types.ts';
import type { SeededRandom } from '../random.ts';
import { anyReady, ask, type Heard, isOpen, succeeded } from './asking.ts';
import { hostsOf, isMember, leadersOf } from './members.ts';
import type { World, WorldHost } from './world.ts';

// Operators who change what the pool is made of. They see through what they began: a call that failed, or was
// not answered, is repeated once it is known how things stand.

interface Operating {
  readonly world: World;
  readonly random: SeededRandom;
}

/** What is still waited for; undefined once it is done, or was given up. */
type Attempt = () => Promise<string | undefined>;

const againMs = [500, 2_000] as const;
const refusalsMax = 3;

const seeThrough = ({ world, random }: Operating, attempt: Attempt): void => {
  const operator = {};
  const run = (): void => {
    void attempt().then((waits) => {
      if (waits === undefined) {
        world.operators.delete(operator);
        return;
      }
      world.operators.set(operator, waits);
      world.clock.after(againMs[0] + random.fraction() * (againMs[1] - againMs[0]), run);
    });
  };
  world.operators.set(operator, 'begins');
  run();
};

const call = async (
  { world }: Operating,
  host: WorldHost,
  method: string,
  ...args: readonly unknown[]
): Promise<Heard> => {
  const { trace, clock } = world;
  trace.note(clock.monotonicMs(), 'operator asks', host.name, method, args.map(String).join(' '));
  const outcome = await ask(world, host, async () => host.process?.call(method, ...args));
  const text = outcome === 'unknown' ? outcome : 'fault' in outcome ? outcome.fault : 'done';
  trace.note(clock.monotonicMs(), 'operator heard', host.name, method, text);
  return outcome;
};

const isBusy = new WeakSet<WorldHost>();

/** Puts a host out of the pool. One that does not go for good reasons stays, and is as it was. */
export const eject = (operating: Operating): void => {
  const { world, random } = operating;
  const belonging = world.hosts.filter((host) => host.belongs && !isBusy.has(host));
  const able = belonging.filter((host) => isMember(world, host) && !leadersOf(world).includes(host));
  if (able.length === 0 || belonging.length < 2) return;
  const host = random.pick(able);
  const { ref } = host;
  isBusy.add(host);
  let refusals = 0;
  const gone = (): undefined => {
    host.belongs = false;
    isBusy.delete(host);
    world.ejected.add(ref);
    return undefined;
  };
  seeThrough(operating, async () => {
    const at = anyReady(world, random);
    if (at === undefined) return `nobody serves, to put ${host.name} out`;
    if (!hostsOf(at).has(ref)) return gone();
    // It went by itself, and left its row.
    if (host.ref !== ref) {
      host.belongs = false;
      await call(operating, at, 'host.destroy', ref);
      return `${host.name} went, and its row is there`;
    }
    if (refusals > refusalsMax) {
      if (!succeeded(await call(operating, at, 'host.enable', ref))) return `${host.name} is to stay`;
      isBusy.delete(host);
      return undefined;
    }
    // Some do not see to it that it is empty, and begin again when told.
    if (random.chance(0.5)) await emptied(operating, at, ref);
    const outcome = await call(operating, at, 'pool.eject', ref);
    if (succeeded(outcome)) return gone();
    if (!isOpen(outcome)) refusals += 1;
    return `${host.name} is to go`;
  });
};

/** Nothing is to run there. */
const emptied = async (operating: Operating, at: WorldHost, ref: Ref<'host'>): Promise<void> => {
  await call(operating, at, 'host.disable', ref);
  await call(operating, at, 'host.evacuate', ref);
  const guests = at.process?.store.committed.get('host', ref)?.resident_VMs ?? [];
  for (const { ref: vm } of operating.world.past.vms)
    if (guests.includes(vm)) await call(operating, at, 'VM.hard_shutdown', vm);
};

/** Gives a host that is a pool of its own into the pool. */
export const join = (operating: Operating): void => {
  const { world, random } = operating;
  const able = world.hosts.filter((host) => !host.belongs && !isBusy.has(host));
  if (able.length === 0) return;
  const host = random.pick(able);
  isBusy.add(host);
  seeThrough(operating, async () => {
    const [leader] = leadersOf(world);
    if (leader === undefined || !leader.ready) return `nobody leads, to take ${host.name} in`;
    if (host.ready && isMember(world, host)) {
      if (!hostsOf(leader).has(host.ref)) return `${host.name} is in, and has no row`;
      host.belongs = true;
      isBusy.delete(host);
      return undefined;
    }
    if (!host.ready || host.process?.pool.duty.kind !== 'leads') return `${host.name} is not ready to join`;
    const token = tokenOf(leader);
    if (token === undefined) return `${leader.name} gives no token`;
    await call(operating, host, 'pool.join', leader.name, 'root', token);
    return `${host.name} is to join`;
  });
};

const tokenOf = ({ process }: WorldHost): string | undefined => {
  try {
    return process?.takingIn.token();
  } catch {
    return undefined;
  }
};

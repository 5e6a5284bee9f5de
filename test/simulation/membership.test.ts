// Goal: hosts come into a pool, go out of it and change their certificates while it changes otherwise, with nothing
// left behind: who joins finds the coordinator of by then, who was put out decides nothing and leaves nothing open.
// Method: whole runtimes in virtual time, on the log of a coordinator and on one in a cluster; operators as the
// simulation has them, at chosen moments, until the pool is at rest by its rules.
import { describe, expect, test } from 'vitest';
import { nodeTurns } from '../../src/drivers/node/turns.ts';
import type { LogEngine } from '../../src/engine/settings.ts';
import { peerRef } from '../../src/pool/context.ts';
import { unrest } from '../../src/simulation/pool/invariants.ts';
import { newAnswered } from '../../src/simulation/pool/load.ts';
import { isMember, leadersOf, membersOf } from '../../src/simulation/pool/members.ts';
import { eject, join } from '../../src/simulation/pool/operators.ts';
import { onlyTroubles, optionsOf } from '../../src/simulation/pool/options.ts';
import { openWorld, type World, type WorldHost } from '../../src/simulation/pool/world.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { traceOf } from '../../src/simulation/trace.ts';
import type { Fault } from '../../src/std/fault.ts';
import type { Store } from '../../src/store/store.ts';

const engines = ['primary', 'etcd'] as const satisfies readonly LogEngine[];
const told = newAnswered();

const calm = async (world: World): Promise<void> => {
  const until = world.clock.monotonicMs() + 60_000;
  while (unrest(world, told) !== undefined && world.clock.monotonicMs() < until)
    await world.loop.run({ untilMs: world.clock.monotonicMs() + 250 });
  expect(unrest(world, told)).toBeUndefined();
};

const opened = async (engine: LogEngine, hosts: number): Promise<World> => {
  const random = seededRandom(`members of a pool on ${engine}`);
  const world = await openWorld({
    options: {
      ...optionsOf(random.split('options'), engine),
      ...{ hosts, spares: 1, troubles: onlyTroubles([]), operationMs: [1, 50], syncMs: [0.1, 2] },
    },
    ...{ random, turns: nodeTurns, trace: traceOf(0), events: traceOf(1), sabotage: {} },
  });
  for (const host of world.hosts) world.start(host);
  await calm(world);
  return world;
};

const until = async (world: World, met: () => boolean): Promise<void> => {
  expect(await world.loop.run({ until: met, untilMs: world.clock.monotonicMs() + 60_000 })).toBe('met');
};

const closed = async (world: World): Promise<void> => {
  for (const host of world.hosts) world.kill(host);
  await world.loop.rest();
};

const leaderOf = (world: World): WorldHost => leadersOf(world)[0] as WorldHost;
const call = (world: World, at: WorldHost, method: string, ...args: readonly unknown[]): Promise<any> =>
  world.loop.finish(at.process?.call(method, ...args) as Promise<any>);
const operating = (world: World) => ({ world, random: world.random.split('operator') });

describe.each(engines)('in a pool on %s', (engine) => {
  test('a host that joins finds who leads by the time that it is started again', async () => {
    const world = await opened(engine, 2);
    const spare = world.hosts.at(-1) as WorldHost;
    const former = leaderOf(world);
    const next = membersOf(world).find((host) => host !== former) as WorldHost;
    join(operating(world));
    await until(world, () => spare.process === undefined);
    await call(world, former, 'pool.designate_new_master', next.ref);
    await until(world, () => leaderOf(world) === next);
    world.powerOff(former);
    await until(world, () => isMember(world, spare));
    world.powerOn(former);
    await calm(world);
    expect(membersOf(world)).toHaveLength(3);
    await closed(world);
  });

  test('a host that is put out leaves no task open, and may come in again', async () => {
    const world = await opened(engine, 2);
    const leader = leaderOf(world);
    const out = membersOf(world).find((host) => host !== leader) as WorldHost;
    const { ref } = out;
    const task = await call(world, out, 'task.create', 'by a client of that host', '');
    const at = out.process?.store as Store;
    await world.loop.finish(at.commit((tx) => tx.patch('task', task, { resident_on: ref })));
    eject(operating(world));
    await calm(world);
    expect(world.ejected.has(ref)).toBe(true);
    expect(out.ref).not.toBe(ref);
    expect(leader.process?.store.committed.require('task', task).status).toBe('failure');
    join({ ...operating(world), random: { ...operating(world).random, pick: () => out as never } });
    await calm(world);
    expect(isMember(world, out)).toBe(true);
    await closed(world);
  });

  test('every host has one new certificate after they were changed, asked for at any host', async () => {
    const world = await opened(engine, 3);
    const pinsOf = ({ ref }: WorldHost) =>
      leaderOf(world).process?.store.committed.require('xenact_peer', peerRef(ref)).pins ?? [];
    for (const at of membersOf(world)) {
      const before = membersOf(world).flatMap(pinsOf);
      await call(world, at, 'pool.rotate_secret');
      await calm(world);
      const after = membersOf(world).map(pinsOf);
      expect(after.map(({ length }) => length)).toEqual([1, 1, 1]);
      expect(after.flat().filter((pin) => before.includes(pin))).toEqual([]);
    }
    await closed(world);
  });

  test('nothing is started on a host from when it is to go', async () => {
    const world = await opened(engine, 2);
    const leader = leaderOf(world);
    const out = membersOf(world).find((host) => host !== leader) as WorldHost;
    const [vm] = world.past.vms;
    const ejected = leader.process?.call('pool.eject', out.ref) as Promise<void>;
    const isClosed = () => leader.process?.store.latest.get('host', out.ref)?.enabled === false;
    await until(world, isClosed);
    const started = leader.process?.call('VM.start_on', vm?.ref, out.ref, false, false) as Promise<void>;
    const why = started.catch((error: Fault) => error.code);
    await world.loop.finish(ejected);
    expect(await world.loop.finish(why)).toBe('HOST_DISABLED');
    await calm(world);
    await closed(world);
  });
});

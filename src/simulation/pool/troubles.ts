import type { SeededRandom } from '../random.ts';
import { anyReady, ask, weighted } from './asking.ts';
import { isMember, leadersOf } from './members.ts';
import { eject, join } from './operators.ts';
import type { Trouble } from './options.ts';
import type { World, WorldHost } from './world.ts';

/** Makes trouble until its time is over, and then mends everything. */
export const startTroubles = (world: World): { readonly over: () => boolean } => {
  const random = world.random.split('troubles');
  const { clock, options, trace } = world;
  let over = false;
  const next = (): void => {
    const [least, most] = options.troubleMs;
    const inMs = least + random.fraction() * (most - least);
    if (clock.monotonicMs() + inMs >= options.durationMs) {
      clock.after(options.durationMs - clock.monotonicMs(), () => {
        mend(world);
        over = true;
      });
      return;
    }
    clock.after(inMs, () => {
      const name = weighted(random, options.troubles);
      trace.note(clock.monotonicMs(), 'trouble:', name);
      troubles[name]({ world, random });
      next();
    });
  };
  next();
  return { over: () => over };
};

const mend = (world: World): void => {
  const { clock, trace, mesh, options } = world;
  trace.note(clock.monotonicMs(), 'everything is mended');
  mesh.paths.heal();
  mesh.paths.setAll(options.network);
  const { own } = world.clusters;
  own.setQuorum(true);
  own.loseAnswers(0);
  own.stall(0);
  for (const host of world.hosts) {
    own.cut(host.name, false);
    world.clusters.mislead(host.name, false);
    host.process?.life.resume();
    host.machine.durable.refuseWrites(undefined);
    host.machine.durable.takeLonger(undefined);
    host.machine.disk.refuseWrites(undefined);
    world.powerOn(host);
    world.start(host);
  }
};

interface Making {
  readonly world: World;
  readonly random: SeededRandom;
}

const lasts = ({ world, random }: Making, then: () => void): void => {
  const [least, most] = world.options.lastsMs;
  world.clock.after(least + random.fraction() * (most - least), then);
};

const crash = (making: Making, host: WorldHost | undefined): void => {
  if (host?.process === undefined) return;
  making.world.kill(host);
  lasts(making, () => making.world.start(host));
};

const cutOff = (making: Making, host: WorldHost | undefined): void => {
  if (host === undefined) return;
  const { world } = making;
  const others = world.hosts.filter((one) => one !== host);
  world.mesh.paths.divide([[host.name], others.map(({ name }) => name)]);
  lasts(making, () => {
    for (const { name } of others) {
      world.mesh.paths.unblock(name, host.name);
      world.mesh.paths.unblock(host.name, name);
    }
  });
};

const anyHost = ({ world, random }: Making): WorldHost => random.pick(world.hosts);
const anyMember = ({ world, random }: Making): WorldHost =>
  random.pick(world.hosts.filter(({ belongs }) => belongs));

const between = (making: Making, ways: 1 | 2): void => {
  const { world, random } = making;
  const from = anyHost(making);
  const to = random.pick(world.hosts.filter((host) => host !== from));
  const pairs = [[from.name, to.name] as const, [to.name, from.name] as const].slice(0, ways);
  for (const [a, b] of pairs) world.mesh.paths.block(a, b);
  lasts(making, () => {
    for (const [a, b] of pairs) world.mesh.paths.unblock(a, b);
  });
};

const operate = ({ world }: Making, host: WorldHost, method: string, ...args: readonly unknown[]): void => {
  const { process } = host;
  if (process === undefined) return;
  world.trace.note(world.clock.monotonicMs(), 'operator asks', host.name, method, args.map(String).join(' '));
  void ask(world, host, async () => process.call(method, ...args)).then((outcome) => {
    const text = outcome === 'unknown' ? outcome : 'fault' in outcome ? outcome.fault : 'done';
    world.trace.note(world.clock.monotonicMs(), 'operator heard', host.name, method, text);
  });
};

const designate = (making: Making): void => {
  const { world, random } = making;
  const at = anyReady(world, random);
  if (at !== undefined) operate(making, at, 'pool.designate_new_master', anyMember(making).ref);
};

const troubles: Readonly<Record<Trouble, (making: Making) => void>> = {
  crash: (making) => crash(making, anyHost(making)),
  'crash of the coordinator': (making) => crash(making, leadersOf(making.world)[0]),
  power: (making) => {
    const host = anyHost(making);
    if (host.power === 'off') return;
    making.world.powerOff(host);
    lasts(making, () => making.world.powerOn(host));
  },
  'crash of the daemon': (making) => anyHost(making).machine.daemon.kill(),
  pause: (making) => {
    const life = anyHost(making).process?.life;
    life?.pause();
    lasts(making, () => life?.resume());
  },
  'cut off': (making) => cutOff(making, anyHost(making)),
  'cut off the coordinator': (making) => cutOff(making, leadersOf(making.world)[0]),
  'one way': (making) => between(making, 1),
  'two ways': (making) => between(making, 2),
  loss: (making) => {
    const { paths } = making.world.mesh;
    paths.setAll({ lostChance: 0.02 });
    lasts(making, () => paths.setAll({ lostChance: 0 }));
  },
  slow: (making) => {
    const { world } = making;
    world.mesh.paths.setAll({ delayMs: [1, 800] });
    lasts(making, () => world.mesh.paths.setAll(world.options.network));
  },
  designate,
  'designate again and again': (making) => {
    const { world, random } = making;
    const times = random.between(2, 4);
    for (let i = 0; i < times; i += 1) {
      world.clock.after(random.fraction() * 400, () => designate(making));
    }
  },
  'take over': (making) => order(making, false),
  insist: (making) => order(making, true),
  stop: (making) => stop(making, anyHost(making)),
  'stop the coordinator': (making) => stop(making, leadersOf(making.world)[0]),
  'declare dead': (making) => {
    const { world, random } = making;
    const off = world.hosts.filter(({ process, belongs }) => belongs && process === undefined);
    const at = leadersOf(world)[0];
    if (at !== undefined && off.length > 0) operate(making, at, 'host.declare_dead', random.pick(off).ref);
  },
  'slow disk': (making) => {
    const { durable } = anyHost(making).machine;
    durable.takeLonger([400, 1_500]);
    lasts(making, () => durable.takeLonger(undefined));
  },
  'failing disk': (making) => refuseWrites(making, 'broken'),
  'full disk': (making) => refuseWrites(making, 'full'),
  'files that cannot be written': (making) => {
    const { disk } = anyHost(making).machine;
    disk.refuseWrites('EIO');
    lasts(making, () => disk.refuseWrites(undefined));
  },
  eject,
  join,
  rotate: (making) => {
    const at = anyReady(making.world, making.random);
    if (at !== undefined) operate(making, at, 'pool.rotate_secret');
  },
  'leader of the cluster lost': (making) => {
    const { world, random } = making;
    const { own } = world.clusters;
    own.setQuorum(false);
    world.clock.after(electionMs[0] + random.fraction() * (electionMs[1] - electionMs[0]), () =>
      own.setQuorum(true),
    );
  },
  'quorum of the cluster lost': (making) => {
    const { own } = making.world.clusters;
    own.setQuorum(false);
    lasts(making, () => own.setQuorum(true));
  },
  'stall of the cluster': ({ world, random }) =>
    world.clusters.own.stall(random.fraction() * world.options.lastsMs[1]),
  'answers of the cluster lost': (making) => {
    const { own } = making.world.clusters;
    own.loseAnswers(making.random.pick([0.1, 0.3, 0.9]));
    lasts(making, () => own.loseAnswers(0));
  },
  'cut off from the cluster': (making) => {
    const { own } = making.world.clusters;
    const { name } = making.random.pick([anyHost(making), ...leadersOf(making.world)]);
    own.cut(name, true);
    lasts(making, () => own.cut(name, false));
  },
  'wrong cluster': (making) => {
    const { clusters } = making.world;
    const { name } = anyHost(making);
    clusters.mislead(name, true);
    lasts(making, () => clusters.mislead(name, false));
  },
  'watch ended': (making) => making.world.clusters.own.breakWatches(anyHost(making).name),
  'watch cut silently': (making) => making.world.clusters.own.silence(anyHost(making).name),
  'event lost': ({ world }) => world.clusters.own.dropNext(),
  'lease lost': ({ world }) => world.clusters.own.expireLeases(),
  'history dropped': ({ world }) => world.clusters.own.compact(),
};

/** What the members of a cluster take to elect another leader. */
const electionMs = [300, 2_500] as const;

const refuseWrites = (making: Making, why: 'broken' | 'full'): void => {
  const { durable } = anyHost(making).machine;
  durable.refuseWrites(why);
  lasts(making, () => durable.refuseWrites(undefined));
};

const stop = (making: Making, host: WorldHost | undefined): void => {
  if (host?.process === undefined) return;
  const { world, random } = making;
  world.stop(host, random.fraction() * world.options.lastsMs[1]);
};

/** Operators err: they order also where there is no need to. */
const order = (making: Making, force: boolean): void => {
  const { world, random } = making;
  const able = world.hosts.filter(
    (host) => host.ready && isMember(world, host) && host.process?.pool.duty.kind !== 'leads',
  );
  if (able.length === 0) return;
  const host = random.pick(able);
  // Where the log is in a cluster, nobody can insist on anything that would lose something.
  if (force && world.options.engine === 'primary') world.forced = true;
  operate(making, host, 'pool.emergency_transition_to_master', force);
};

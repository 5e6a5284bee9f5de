import type { LogEngine } from '../../engine/settings.ts';
import type { PathConditions } from '../mesh-paths.ts';
import type { SeededRandom } from '../random.ts';

/**
 * What one simulation is made of: all that chance decides before it begins. Every trouble has its name here.
 */
export interface SimulationOptions {
  /** Where the log of the pool is. */
  readonly engine: LogEngine;
  readonly hosts: number;
  /** Hosts that are a pool of their own each, and may be given into the pool. */
  readonly spares: number;
  readonly vms: number;
  /** Of `commit-replicas`. */
  readonly replicas: number;
  /** Troubles and load go on for this long; then everything is healed and must come to rest. */
  readonly durationMs: number;
  readonly network: PathConditions;
  /** What a group of commits takes to be on disk, and what a file takes. */
  readonly writeMs: readonly [least: number, most: number];
  readonly syncMs: readonly [least: number, most: number];
  readonly operationMs: readonly [least: number, most: number];
  /** Time between two troubles. */
  readonly troubleMs: readonly [least: number, most: number];
  /** How long a trouble lasts. */
  readonly lastsMs: readonly [least: number, most: number];
  /** How often each trouble comes, among the others; 0: never. */
  readonly troubles: Readonly<Record<Trouble, number>>;
  readonly clients: number;
  readonly watchers: number;
  /** Time between two calls of one client. */
  readonly thinkMs: readonly [least: number, most: number];
  readonly loads: Readonly<Record<Load, number>>;
}

export type Trouble =
  /** The program ends and is started again; guests go on. */
  | 'crash'
  | 'crash of the coordinator'
  /** The machine loses its power, and what its disk had not synced. */
  | 'power'
  /**
   * The hypervisor's daemon of a host ends, whatever it is doing; guests go on, and the host starts another.
   */
  | 'crash of the daemon'
  /** Nothing of the process happens for a while. */
  | 'pause'
  /** One host is cut off from all others. */
  | 'cut off'
  | 'cut off the coordinator'
  /** Packets go one way between two hosts, and not the other. */
  | 'one way'
  | 'two ways'
  /** Messages are lost for a while, each time with the wire that they were on. */
  | 'loss'
  | 'slow'
  /** An operator makes another host the coordinator. */
  | 'designate'
  /** And several in quick succession. */
  | 'designate again and again'
  /** An operator orders a member to lead, whether or not there is need to. */
  | 'take over'
  /** And insists, whatever may be lost. */
  | 'insist'
  /** A host is stopped in order, and says goodbye. */
  | 'stop'
  | 'stop the coordinator'
  /** An operator declares dead what is off. */
  | 'declare dead'
  /** The disk under one host's database takes very long, or takes nothing. */
  | 'slow disk'
  | 'failing disk'
  | 'full disk'
  /** The files beside it, such as the one that says where the host stands in its pool. */
  | 'files that cannot be written'
  /** An operator puts a host out of the pool, gives one into it, or has all get new certificates. */
  | 'eject'
  | 'join'
  | 'rotate'
  // The cluster that the log is in: its members elect another leader, or are too few for a while.
  | 'leader of the cluster lost'
  | 'quorum of the cluster lost'
  /** Nothing is answered for a while, and then everything. */
  | 'stall of the cluster'
  /** Changes are made, and nobody hears of it. */
  | 'answers of the cluster lost'
  /** One host does not reach it, or comes upon somebody else's in its place. */
  | 'cut off from the cluster'
  | 'wrong cluster'
  /** What one host watches ends, or says nothing any more without an end. */
  | 'watch ended'
  | 'watch cut silently'
  /** Watchers are not told of one change. */
  | 'event lost'
  | 'lease lost'
  | 'history dropped';

export type Load =
  | 'append'
  | 'remove'
  | 'read'
  | 'rename'
  | 'start'
  | 'shutdown'
  | 'migrate'
  | 'task'
  | 'churn';

const quiet: Record<Trouble, number> = {
  crash: 0,
  'crash of the coordinator': 0,
  power: 0,
  'crash of the daemon': 0,
  pause: 0,
  'cut off': 0,
  'cut off the coordinator': 0,
  'one way': 0,
  'two ways': 0,
  loss: 0,
  slow: 0,
  designate: 0,
  'designate again and again': 0,
  'take over': 0,
  insist: 0,
  stop: 0,
  'stop the coordinator': 0,
  'declare dead': 0,
  'slow disk': 0,
  'failing disk': 0,
  'full disk': 0,
  'files that cannot be written': 0,
  eject: 0,
  join: 0,
  rotate: 0,
  'leader of the cluster lost': 0,
  'quorum of the cluster lost': 0,
  'stall of the cluster': 0,
  'answers of the cluster lost': 0,
  'cut off from the cluster': 0,
  'wrong cluster': 0,
  'watch ended': 0,
  'watch cut silently': 0,
  'event lost': 0,
  'lease lost': 0,
  'history dropped': 0,
};

const ofCluster = [
  'leader of the cluster lost',
  'quorum of the cluster lost',
  'stall of the cluster',
  'answers of the cluster lost',
  'cut off from the cluster',
  'wrong cluster',
  'watch ended',
  'watch cut silently',
  'event lost',
  'lease lost',
  'history dropped',
] as const satisfies readonly Trouble[];

const ofMembership = ['eject', 'join', 'rotate'] as const satisfies readonly Trouble[];

const loads: Readonly<Record<Load, number>> = {
  append: 8,
  remove: 2,
  read: 3,
  rename: 2,
  start: 3,
  shutdown: 2,
  migrate: 2,
  task: 2,
  churn: 2,
};

/** Some seeds have all troubles, others only a few, so that these are seen by themselves. */
export const optionsOf = (random: SeededRandom, given?: LogEngine): SimulationOptions => {
  const hosts = random.pick([2, 2, 2, 3, 3, 3, 3, 4, 5]);
  const most = random.pick([1, 5, 20]);
  const ofEngine = random.split('engine');
  const chosen = ofEngine.chance(0.4) ? 'etcd' : 'primary';
  const engine = given ?? chosen;
  const troubles = { ...quiet };
  const isOf = (names: readonly Trouble[], name: Trouble): boolean => names.includes(name);
  const membership = random.split('membership');
  for (const name of Object.keys(quiet) as Trouble[]) {
    if (isOf(ofCluster, name) && engine !== 'etcd') continue;
    const [chance, share] = isOf(ofMembership, name)
      ? ([membership, 0.3] as const)
      : ([isOf(ofCluster, name) ? ofEngine : random, 0.5] as const);
    troubles[name] = chance.chance(share) ? chance.between(1, 4) : 0;
  }
  // Half of the pools have nobody who insists: nothing at all may be lost there.
  if (random.chance(0.5)) troubles.insist = 0;
  return {
    engine,
    hosts,
    spares: troubles.join > 0 ? 1 : 0,
    vms: 4,
    replicas: 1,
    durationMs: 30_000,
    network: { delayMs: [0.1, most], lostChance: 0 },
    writeMs: [0.1, random.pick([2, 10, 60])],
    syncMs: [0.1, random.pick([2, 10, 60])],
    operationMs: [1, random.pick([50, 1_500])],
    troubleMs: [500, random.pick([4_000, 9_000])],
    lastsMs: [100, random.pick([3_000, 9_000, 20_000])],
    troubles,
    clients: 3,
    watchers: 2,
    thinkMs: [1, random.pick([300, 1_200])],
    loads,
  };
};

/** Only these troubles come, one as often as another. */
export const onlyTroubles = (names: readonly Trouble[]): Readonly<Record<Trouble, number>> => ({
  ...quiet,
  ...Object.fromEntries(names.map((name) => [name, 1])),
});

import { allRecords } from './all-records.ts';
import { durable } from './durable.ts';
import { events } from './events.ts';
import { fragments } from './fragments.ts';
import { mesh } from './mesh.ts';
import { poolOfThree } from './pool-of-three.ts';
import { poolSim } from './pool-sim.ts';
import { restart } from './restart.ts';
import { smallCalls } from './small-calls.ts';
import { vmStart } from './vm-start.ts';

/** By their names on the command line, in the order in which they run. */
export const benchmarks = {
  'small-calls': smallCalls,
  'all-records': allRecords,
  fragments,
  events,
  restart,
  durable,
  'vm-start': vmStart,
  mesh,
  pool: poolOfThree,
  'pool-sim': poolSim,
} as const;

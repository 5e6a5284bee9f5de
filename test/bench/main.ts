// `npm run bench`: every figure beside what it is compared with, measured in the same run. `--tiny` only tries them.
import { allRecords } from './all-records.ts';
import { allowedOperations } from './allowed-operations.ts';
import { disks } from './disks.ts';
import { durable } from './durable.ts';
import { etcd } from './etcd.ts';
import { events } from './events.ts';
import { fragments } from './fragments.ts';
import { mesh } from './mesh.ts';
import { pluginCall } from './plugin-call.ts';
import { poolOfThree } from './pool-of-three.ts';
import { poolSim } from './pool-sim.ts';
import { qemuStart } from './qemu-start.ts';
import { restart } from './restart.ts';
import { smallCalls } from './small-calls.ts';
import { vmLife } from './vm-life.ts';
import { vmStart } from './vm-start.ts';
import { xeList } from './xe-list.ts';
import { xva } from './xva.ts';

const benchmarks = {
  'small-calls': smallCalls,
  'all-records': allRecords,
  fragments,
  events,
  restart,
  'allowed-operations': allowedOperations,
  durable,
  disks,
  xva,
  etcd,
  'vm-start': vmStart,
  'vm-life': vmLife,
  'qemu-start': qemuStart,
  'plugin-call': pluginCall,
  mesh,
  pool: poolOfThree,
  'pool-sim': poolSim,
  xe: xeList,
} as const;

const chosen = process.argv.slice(2).filter((argument) => argument !== '--tiny');
const unknown = chosen.find((name) => !(name in benchmarks));
if (unknown !== undefined) {
  console.error(`There is no benchmark ${unknown}; there are ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
// What is measured may wait for the product's timers alone, and those keep no process.
const alive = setInterval(() => {}, 60_000);
for (const [name, run] of Object.entries(benchmarks)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await run((line) => console.log(line));
}
clearInterval(alive);

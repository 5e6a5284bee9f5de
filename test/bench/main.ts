// `npm run bench`: every figure beside what it is compared with, measured in the same run. `--tiny` only tries them.
import { benchmarks } from './benchmarks.ts';

const chosen = process.argv.slice(2).filter((argument) => argument !== '--tiny');
const unknown = chosen.find((name) => !(name in benchmarks));
if (unknown !== undefined) {
  console.error(`There is no benchmark ${unknown}; there are ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
for (const [name, run] of Object.entries(benchmarks)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await run((line) => console.log(line));
}

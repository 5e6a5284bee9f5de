// `npm run bench`: installs, builds and prints the figures. Names after `--` choose among the benchmarks.
import { join } from 'node:path';
import { build, install, root, run } from './setup.mjs';

install();
build();
run(process.execPath, [
  '--expose-gc',
  join(root, 'dist', 'test', 'bench', 'main.js'),
  ...process.argv.slice(2),
]);

// `npm run simulate`: installs, builds and runs pools of hosts in virtual time, one for each seed. Options follow
// `--`: `--seeds N`, `--from S`, `--for 150s`, `--verbose`, `--troubles A,B`, `--mutants`.
import { join } from 'node:path';
import { build, install, root, run } from './setup.mjs';

install();
build();
run(process.execPath, [join(root, 'dist', 'test', 'simulation', 'simulate.js'), ...process.argv.slice(2)]);

// `npm start`: installs, builds and starts a pool of one host. What follows `--` are flags of `xenact up`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, install, root } from './setup.mjs';

install();
build();
const xenact = spawn(
  process.execPath,
  [join(root, 'dist', 'src', 'main.js'), 'up', ...process.argv.slice(2)],
  {
    stdio: 'inherit',
  },
);
// A terminal sends Ctrl-C to both; a supervisor may send its signal to this process alone.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => xenact.kill('SIGTERM'));
xenact.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 0 : 1)));

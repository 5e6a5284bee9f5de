// `npm run quicktest`: installs, builds and runs scenarios against the XenAPI server that `--url` names.
import { join } from 'node:path';
import { build, install, root, run } from './setup.mjs';

install();
build();
run(process.execPath, [join(root, 'dist', 'test', 'quicktest', 'main.js'), ...process.argv.slice(2)]);

// `npm run conformance`: installs, builds and puts the cases to the code. Options follow `--`: `--cases DIR`
// for other cases than those in test/conformance/cases, `--subject NAME` for those of one file.
import { join } from 'node:path';
import { build, install, root, run } from './setup.mjs';

install();
build();
run(process.execPath, [join(root, 'dist', 'test', 'conformance', 'main.js'), ...process.argv.slice(2)], {
  cwd: process.cwd(),
});

#!/usr/bin/env node
// Looks at what the system allows this process before the program is loaded, which would fail half-way.
import { openFiles, openFilesMin } from './main/open-files.ts';

const allowed = openFiles();
if (allowed !== undefined && allowed < openFilesMin) {
  console.error(
    `xenact: this process may open only ${allowed} files, and needs ${openFilesMin} at least. ` +
      'Raise the limit: ulimit -n 4096 in a shell, LimitNOFILE= in a systemd unit.',
  );
  process.exit(1);
}
const { run } = await import('./main/program.ts');
run(process.argv.slice(2));

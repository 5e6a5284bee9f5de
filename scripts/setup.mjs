// What `npm start`, `npm test` and `npm run bench` need before they begin: dependencies and a build.
// Uses nothing but Node, so that it works in a fresh clone.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program with its output shown; ends this one with its exit code when it fails. */
export const run = (file, args, options = {}) => {
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) console.error(`${file} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};

export const bin = (name) => join(root, 'node_modules', '.bin', name);

const digest = (text) => createHash('sha256').update(text).digest('hex');

const upToDate = (stampFile, stamp) => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;

/** Installs exactly what the lock file says, unless that is what is there. */
export const install = () => {
  const stampFile = join(root, 'node_modules', '.xenact-installed');
  const stamp = digest(readFileSync(join(root, 'package-lock.json')));
  if (upToDate(stampFile, stamp)) return;
  console.error('Installing dependencies (npm ci) ...');
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 2, 'inherit'],
  });
  writeFileSync(stampFile, stamp);
};

const filesBelow = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));

/** Compiles into dist/, unless nothing has changed since. Types are checked by `npm run check` and by the tests. */
export const build = () => {
  const sources = ['src', 'actors', 'test'].filter((folder) => existsSync(join(root, folder)));
  const files = [
    ...sources.flatMap(filesBelow),
    join(root, 'tsconfig.json'),
    join(root, 'tsconfig.build.json'),
  ];
  const stamp = digest(
    files
      .sort()
      .map((file) => `${file} ${statSync(file).mtimeMs} ${statSync(file).size}`)
      .join('\n'),
  );
  const stampFile = join(root, 'dist', '.built');
  if (upToDate(stampFile, stamp)) return;
  console.error('Building (tsc) ...');
  run(process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    ...['-p', 'tsconfig.build.json', '--noCheck'],
  ]);
  writeFileSync(stampFile, stamp);
};

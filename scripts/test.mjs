// `npm test`: installs, builds, checks types, form and house rules, and runs every test. What follows
// `--` goes to vitest, such as a file name. Ends with the reasons of tests that were skipped, and one line that counts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { build, install, root, run } from './setup.mjs';

/** Programs and files that some tests drive, and the Debian packages that bring them. */
const programs = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['qemu-img', 'qemu-utils'],
  ['swtpm', 'swtpm'],
  ['python3', 'python3'],
  ['zstd', 'zstd'],
  ['etcd', 'etcd-server'],
  ['/usr/share/OVMF/OVMF_CODE.fd', 'ovmf'],
];

/** What a guest is put together of by tests: not installed, only unpacked. */
const guestPackages = [
  'busybox-static',
  'qemu-guest-agent',
  'syslinux',
  'syslinux-common',
  'systemd-boot-efi',
  'mtools',
];
const guestFolder = join(root, 'node_modules', '.cache', 'linux-guest');

const has = (program) =>
  program.startsWith('/')
    ? existsSync(program)
    : spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** Downloads the packages that are not there yet. Without apt the tests that need them are skipped. */
const fetchGuestPackages = () => {
  mkdirSync(guestFolder, { recursive: true });
  const there = readdirSync(guestFolder);
  const isThere = (name) => there.some((file) => file.startsWith(`${name}_`));
  const isKernelThere = there.some((file) => file.startsWith('linux-image-'));
  if (!has('apt-get') || (isKernelThere && guestPackages.every(isThere))) return;
  console.error('Downloading the packages of a Linux guest (apt-get) ...');
  const quiet = { cwd: guestFolder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  // The package of this name stands for the newest kernel, which has its version in its name.
  const kernel = () =>
    /linux-image-\S+-cloud-amd64/.exec(
      spawnSync('apt-cache', ['depends', 'linux-image-cloud-amd64'], quiet).stdout.replace(/^.*\n/, ''),
    )?.[0];
  const download = () => {
    const names = [kernel(), ...guestPackages].filter(Boolean);
    return kernel() !== undefined && spawnSync('apt-get', ['download', '-q', ...names], quiet).status === 0;
  };
  if (download() || process.getuid?.() !== 0) return;
  // Lists that are missing or old name packages that are gone.
  spawnSync('apt-get', ['update', '-q'], quiet);
  download();
};

const installPrograms = () => {
  const packages = programs.filter(([program]) => !has(program)).map(([, name]) => name);
  if (packages.length === 0) return;
  if (process.getuid?.() === 0 && has('apt-get')) {
    console.error(`Installing ${packages.join(', ')} (apt-get) ...`);
    const options = {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    };
    spawnSync('apt-get', ['update', '-q'], options);
    spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], options);
  }
  const missing = programs.filter(([program]) => !has(program)).map(([, name]) => name);
  if (missing.length > 0) {
    console.error(
      `Not installed: ${missing.join(', ')}. Tests that need them are skipped; install them to run all.`,
    );
  }
};

/** The files that took longest, so that what grows is seen. */
const dearest = (files) =>
  files
    .map(({ name, startTime, endTime }) => ({
      name: relative(root, name),
      seconds: (endTime - startTime) / 1_000,
    }))
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, 10)
    .map(({ name, seconds }) => `${seconds.toFixed(0).padStart(5)} s  ${name}`);

const runTests = () => {
  const folder = mkdtempSync(join(tmpdir(), 'xenact-test-'));
  const report = join(folder, 'report.json');
  const vitest = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...process.argv.slice(2)];
  const skipped = `--reporter=${join(root, 'scripts', 'skipped.mjs')}`;
  const reporters = ['--reporter=default', skipped, '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [...vitest, ...reporters], { cwd: root, stdio: 'inherit' });
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    for (const line of dearest(testResults)) console.log(line);
    console.log(
      `tests: ${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests + numTodoTests} skipped`,
    );
  } catch (error) {
    console.error(`The tests left no report: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return status ?? 1;
};

install();
installPrograms();
fetchGuestPackages();
build();
run(process.execPath, [
  join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
  '--noEmit',
  '-p',
  'tsconfig.json',
]);
run(process.execPath, [join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '.']);
process.exit(runTests());

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { sleep } from '../../src/std/clock.ts';
import { secondsOf } from './figures.ts';

const pollMs = 50;

const isThere = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/**
 * How many guests a second libvirt's test driver starts for one caller through its daemon's socket. Undefined:
 * libvirt is not installed (Debian: libvirt-daemon-system, libvirt-clients).
 */
export const libvirtStarts = async (count: number): Promise<number | undefined> => {
  if (!isThere('virsh') || !isThere('libvirtd')) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-libvirt-'));
  const daemon = await startDaemon(folder);
  try {
    const [xml, socket] = [join(folder, 'guests.xml'), join(folder, 'libvirt-sock')];
    await writeFile(xml, nodeOf(count));
    const virsh = (lines: readonly string[]): Promise<void> =>
      said(spawn('virsh', ['-q', '-c', `test+unix://${xml}?socket=${socket}`], { stdio: 'pipe' }), lines);
    const guests = Array.from({ length: count }, (_, n) => `start guest${n}`);
    return count / (await secondsOf(() => virsh(guests)));
  } finally {
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
};

const startDaemon = async (folder: string): Promise<ChildProcess> => {
  const config = join(folder, 'libvirtd.conf');
  await writeFile(
    config,
    `unix_sock_dir = "${folder}"\nauth_unix_ro = "none"\nauth_unix_rw = "none"\nlog_outputs = "4:stderr"\n`,
  );
  const daemon = spawn('libvirtd', ['--config', config, '--pid-file', join(folder, 'pid')], {
    stdio: 'ignore',
  });
  const socket = join(folder, 'libvirt-sock');
  while (
    !(await access(socket).then(
      () => true,
      () => false,
    ))
  ) {
    if (daemon.exitCode !== null || daemon.signalCode !== null)
      throw new Error(`libvirtd ended: ${daemon.exitCode ?? daemon.signalCode}`);
    await sleep(nodeClock, pollMs);
  }
  return daemon;
};

/** Every connection to the test driver has guests of its own, as a file says. */
const nodeOf = (count: number): string => {
  const guest = (n: number): string =>
    `<domain type="test"><name>guest${n}</name><memory unit="MiB">4</memory><os><type>hvm</type></os>` +
    `<test:runstate xmlns:test="http://libvirt.org/schemas/domain/test/1.0">5</test:runstate></domain>`;
  return `<node>${Array.from({ length: count }, (_, n) => guest(n)).join('')}</node>`;
};

const said = async (child: ChildProcess, lines: readonly string[]): Promise<void> => {
  let wrong = '';
  child.stdout?.resume();
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    wrong += text;
  });
  const ended = once(child, 'exit');
  child.stdin?.end(`${lines.join('\n')}\n`);
  const [status] = await ended;
  if (status !== 0 || wrong !== '') throw new Error(`virsh ended with ${status}: ${wrong.slice(0, 500)}`);
};

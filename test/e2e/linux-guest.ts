import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fileList } from './cpio.ts';

// A Linux guest put together of Debian's packages, which `npm test` downloads: their kernel, busybox, the
// guest agent of QEMU and two boot loaders. It boots from one disk, by BIOS and by UEFI, and does what it
// is told line by line on its serial port.

const folder = join(process.cwd(), 'node_modules', '.cache', 'linux-guest');

const wanted = [
  'linux-image',
  'busybox-static',
  'qemu-guest-agent',
  'syslinux_',
  'syslinux-common',
  'systemd-boot-efi',
  'mtools',
];

/** Why it cannot be put together here, or undefined. */
export const noLinux = ((): string | undefined => {
  const there = existsSync(folder) ? readdirSync(folder) : [];
  const missing = wanted.filter((name) => !there.some((one) => one.startsWith(name)));
  return missing.length > 0 ? `npm test downloads no packages here: ${missing.join(', ')}` : undefined;
})();

const modules = [
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
  'virtio_console',
  'virtio_balloon',
  'virtio_scsi',
].concat(['sd_mod', 'sr_mod', 'ata_piix', 'button', 'evdev']);

/**
 * Runs each line that comes on the serial port, and says how that ended. The line says first how long it is:
 * one that lost a character on its way is asked for again.
 */
const init = (loaded: readonly string[]) => `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in ${loaded.join(' ')}; do insmod /modules/$m.ko; done
ip link set lo up
hostname guest-of-a-test
port=$(grep -l org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name)
qemu-ga -p /dev/$(basename $(dirname $port)) -m virtio-serial -t /run -f /run/qga.pid -d 2>/dev/null
stty -F /dev/ttyS0 raw -echo
exec </dev/ttyS0 >/dev/ttyS0 2>&1
. /lib.sh
(acpi) &
echo linux is up
while read -r size line; do
  if [ "\${#line}" != "$size" ]; then echo again; continue; fi
  eval "$line"; echo "ended with $?"
done
`;

/**
 * Blocks that say where they are: each is written to the disk, and only then counted. A check reads them
 * back.
 */
const library = `
pad() { printf '%-4095d\\n' "$1"; }
writing() { i=0; while [ ! -e /run/stop ]; do
  pad $i | dd of=$1 bs=4096 seek=$i conv=notrunc,fsync 2>/dev/null &&
  echo $i >/run/synced.new && mv /run/synced.new /run/synced
  i=$((i + 1)); done; }
synced() { cat /run/synced; }
check() { sync; echo 3 >/proc/sys/vm/drop_caches; dd if=$1 bs=4096 count=$(($2 + 1)) 2>/dev/null |
  awk -v last=$2 '$1 != NR - 1 { bad += 1; if (bad < 4) print "block " NR - 1 " has " $1 }
    END { print NR " of " last + 1; exit bad > 0 || NR != last + 1 }'; }
waitfor() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -gt 600 ] && echo in vain && return 1; usleep 100000; done; }
acpi() { waitfor '[ -e /dev/input/event0 ]' && for e in /dev/input/event*; do
  (dd if=$e bs=24 count=1 2>/dev/null | od -An -tu2 | grep -q ' 116 ' && poweroff -f) & done; }
`;

const release = 'NAME=Linux\nPRETTY_NAME="Linux of a test"\nID=test\nVERSION_ID="12.5"\n';

const shutdown = `#!/bin/busybox sh
case "$1" in -r) exec /bin/busybox reboot -f;; *) exec /bin/busybox poweroff -f;; esac
`;

/** A disk image of FAT that boots Linux by BIOS and by UEFI. Takes some seconds; made once for each test file. */
export const linuxDisk = (scratch: string): Buffer => {
  const root = join(scratch, 'unpacked');
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(folder)) execFileSync('dpkg-deb', ['-x', join(folder, name), root]);
  const [version = ''] = readdirSync(join(root, 'lib', 'modules'));
  const at = (...path: readonly string[]): string => join(root, ...path);
  const env = { ...process.env, PATH: `${at('usr', 'bin')}:${process.env['PATH']}`, MTOOLS_SKIP_CHECK: '1' };
  const run = (file: string, ...args: readonly string[]) => execFileSync(file, args, { env, cwd: scratch });
  const put = (name: string, content: Uint8Array | string): void => {
    writeFileSync(join(scratch, basename(name)), content);
    run('mcopy', '-i', 'disk.img', basename(name), `::${name}`);
  };
  const options = 'console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off nokaslr';
  const image = join(scratch, 'disk.img');
  writeFileSync(image, new Uint8Array(24 << 20));
  run('mformat', '-i', image, '::');
  for (const name of ['EFI', 'EFI/BOOT', 'loader', 'loader/entries']) run('mmd', '-i', image, `::${name}`);
  put('linux', readFileSync(at('boot', `vmlinuz-${version}`)));
  put('initrd', gzipSync(initrd(root, version), { level: 1 }));
  put('syslinux.cfg', `DEFAULT one\nLABEL one\n LINUX linux\n INITRD initrd\n APPEND ${options}\n`);
  put('ldlinux.c32', readFileSync(at('usr/lib/syslinux/modules/bios/ldlinux.c32')));
  put('EFI/BOOT/BOOTX64.EFI', readFileSync(at('usr/lib/systemd/boot/efi/systemd-bootx64.efi')));
  put('loader/loader.conf', 'timeout 0\n');
  put('loader/entries/one.conf', `title one\nlinux /linux\ninitrd /initrd\noptions ${options}\n`);
  run('syslinux', '--install', image);
  return readFileSync(image);
};

const initrd = (root: string, version: string): Uint8Array => {
  const files = fileList();
  const copy = (from: string, to: string): void => files.add(to, 0o755, readFileSync(from));
  copy(join(root, 'bin', 'busybox'), 'bin/busybox');
  const agent = join(root, 'usr', 'sbin', 'qemu-ga');
  copy(agent, 'bin/qemu-ga');
  const { stdout } = spawnSync('ldd', [agent], { encoding: 'utf8' });
  for (const [, path = ''] of stdout.matchAll(/(\/\S+) \(/g)) copy(path, path.slice(1));
  const found = execFileSync('find', [join(root, 'lib', 'modules', version), '-name', '*.ko'], {
    encoding: 'utf8',
  });
  const paths = new Map(
    found
      .trim()
      .split('\n')
      .map((path) => [nameOf(path), path]),
  );
  const loaded: string[] = [];
  const load = (name: string): void => {
    const path = paths.get(name);
    // What has no file is part of the kernel.
    if (path === undefined || loaded.includes(name)) return;
    const content = readFileSync(path);
    const needs = /\0depends=([^\0]*)\0/.exec(content.toString('latin1'))?.[1] ?? '';
    for (const need of needs.split(',')) load(need.replaceAll('-', '_'));
    loaded.push(name);
    files.add(`modules/${name}.ko`, 0o644, content);
  };
  for (const name of modules) load(name);
  files.add('init', 0o755, Buffer.from(init(loaded)));
  files.add('etc/os-release', 0o644, Buffer.from(release));
  files.add('lib.sh', 0o644, Buffer.from(library));
  files.add('sbin/shutdown', 0o755, Buffer.from(shutdown));
  for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'var']) files.addFolder(name);
  return files.bytes();
};

const nameOf = (path: string): string => basename(path, '.ko').replaceAll('-', '_');

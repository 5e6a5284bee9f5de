// Goal: a real Linux keeps every byte that it had written whatever is done to it: devices come and go, it is
//   copied while it writes, set back, put to sleep on one host and woken on another, where its disk moves.
// Method: a kernel of Debian's with busybox and QEMU's agent, on a pool of two hosts with storage that both
//   see. The guest itself writes numbered blocks, counts them once they are on the disk, and reads them back.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { logIn, type Session } from './client.ts';
import { hostRefs, type Lab, poolOf } from './hosts.ts';
import { diskUrl, newDisk, newDrive, newVm, type Row, text, until, untilState } from './lab.ts';
import { linuxDisk, noLinux } from './linux-guest.ts';
import { openSerial } from './serial.ts';
import { has } from './xenact.ts';

const missing = ['qemu-system-x86_64', 'qemu-img', 'dpkg-deb', 'ldd'].filter((program) => !has(program));
const why = missing.length > 0 ? `${missing.join(', ')} not installed` : noLinux;
const hasTpms = has('swtpm');
const minutes = 60_000;
const mib = 1n << 20n;
const none = new Map<string, Value>();

/** Runs lines in the guest, each to its end. */
interface Shell {
  run(line: string): Promise<string>;
  close(): void;
}

describe.skipIf(why !== undefined)(`a Linux guest${why ? ` (${why})` : ''}`, { timeout: 8 * minutes }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'linux-'));
  let pool: Lab;
  let session: Session;
  let hosts: readonly string[];
  let sr: string;
  let elsewhere: string;
  let image: Buffer;
  let network: string;

  beforeAll(async () => {
    image = linuxDisk(scratch);
    pool = await poolOf(2, ['--hypervisor', 'qemu']);
    session = await logIn(pool.host(0).http);
    hosts = await hostRefs(session, pool.hosts);
    const newSr = async (host: number, location: string, shared: boolean): Promise<string> => {
      const config = new Map([['location', location]]);
      const kind = [0n, location, '', 'file', 'user', shared] as const;
      return (await session.call('SR.create', hosts[host] ?? '', config, ...kind, none)) as string;
    };
    sr = await newSr(0, join(scratch, 'shared'), true);
    elsewhere = await newSr(1, join(pool.host(1).data, 'sr-2'), false);
    const [ref] = (await session.call('pool.get_all')) as string[];
    await session.call('pool.set_suspend_image_SR', ref ?? '', sr);
    const networks = (await session.call('network.get_all_records')) as ReadonlyMap<string, Row>;
    network = [...networks].find(([, row]) => (row.get('PIFs') as readonly string[]).length === 0)?.[0] ?? '';
  }, 3 * minutes);
  afterAll(async () => {
    await pool?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const upload = async (vdi: string, bytes: Uint8Array): Promise<void> => {
    const put = await fetch(diskUrl(pool.host(0), session, 'import', vdi), { method: 'PUT', body: bytes });
    expect(put.status, await put.text()).toBe(200);
  };
  const disk = (bytes: number): Promise<string> => newDisk(session, bytes, { SR: sr });
  const card = (vm: string, device: string): Promise<Value> =>
    session.call(
      'VIF.create',
      new Map<string, Value>([
        ...Object.entries({ VM: vm, network, device, MAC: '', MTU: 1500n, other_config: none }),
        ...Object.entries({ qos_algorithm_type: '', qos_algorithm_params: none }),
      ]),
    );
  const drive = (vm: string, userdevice: string): Promise<string> =>
    session.call(
      'VBD.create',
      new Map<string, Value>([
        ...Object.entries({
          VM: vm,
          VDI: 'OpaqueRef:NULL',
          userdevice,
          bootable: false,
          mode: 'RO',
          type: 'CD',
        }),
        ...Object.entries({ empty: true, other_config: none }),
        ...Object.entries({ qos_algorithm_type: '', qos_algorithm_params: none }),
      ]),
    ) as Promise<string>;
  const metricsOf = (vm: string): Promise<Value> => session.call('VM.get_metrics', vm);
  const newLinux = async (firmware: string): Promise<string> => {
    const vm = await newVm(session, `Linux by ${firmware}`);
    await session.call(
      'VM.set_HVM_boot_params',
      vm,
      new Map([
        ['order', 'c'],
        ['firmware', firmware],
      ]),
    );
    await session.call('VM.set_memory_limits', vm, 128n * mib, 256n * mib, 256n * mib, 256n * mib);
    await session.call('VM.set_VCPUs_max', vm, 2n);
    const vdi = await disk(image.length);
    await upload(vdi, image);
    await newDrive(session, vm, vdi);
    await card(vm, '0');
    return vm;
  };
  const shell = async (vm: string): Promise<Shell> => {
    const serial = await openSerial(session, vm);
    return {
      run: async (line) => {
        const asked = `echo "begins"; ${line}`;
        const send = (): void => serial.send(`${asked.length} ${asked}\n`);
        send();
        for (let said = ''; !said.endsWith('begins'); said = await serial.until('\n')) {
          if (said.endsWith('again')) send();
        }
        const said = await serial.until('ended with ');
        const code = await serial.until('\n');
        if (code !== '0') throw new Error(`${line} ended with ${code}: ${said}`);
        return said.trim();
      },
      close: () => serial.close(),
    };
  };
  const booted = async (vm: string): Promise<Shell> => {
    const serial = await openSerial(session, vm);
    await serial.until('linux is up');
    serial.close();
    return shell(vm);
  };
  /** How often the guest's TPM has been started, which it keeps itself; one that is not there never was. */
  const tpmStarts = async (guest: Shell): Promise<number | undefined> => {
    if (!hasTpms) return undefined;
    const readClock = '\\x80\\x01\\x00\\x00\\x00\\x0a\\x00\\x00\\x01\\x81';
    const talk = `exec 3<>/dev/tpm0 && printf '${readClock}' >&3 && dd bs=64 count=1 <&3 2>/dev/null | xxd -p`;
    const answer = Buffer.from(await guest.run(`(${talk})`), 'hex');
    return answer.readUInt32BE(26);
  };
  const agentSays = async (vm: string, passes: (metrics: Row) => boolean): Promise<Row> => {
    const none = 'OpaqueRef:NULL';
    const row = await until(session, 'VM', vm, (one) => one.get('guest_metrics') !== none);
    return until(session, 'VM_guest_metrics', text(row, 'guest_metrics'), passes);
  };

  test('boots by BIOS, and whatever is done to it keeps what it has written', async () => {
    const vm = await newLinux('bios');
    const cd = await drive(vm, '3');
    if (hasTpms) await session.call('VTPM.create', vm, false);
    await session.call('VM.start_on', vm, hosts[0] ?? '', false, false);
    let guest = await booted(vm);

    const starts = await tpmStarts(guest);
    await guest.run('ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up');
    const metrics = await agentSays(vm, (row) => (row.get('networks') as Row).get('0/ip') === '10.0.2.15');
    expect(metrics.get('os_version')).toEqual(
      new Map([
        ...Object.entries({ name: 'Linux of a test', uname: await guest.run('uname -r'), distro: 'test' }),
        ...Object.entries({ major: '12', minor: '5' }),
      ]),
    );

    const [ref] = (await session.call('pool.get_all')) as string[];
    await session.call('pool.add_to_other_config', ref ?? '', 'allow_guest_agent_run_script', 'true');
    const script = new Map(Object.entries({ username: '', password: '', script: 'uname -r; exit 3' }));
    const ran = await session.call('VM.call_plugin', vm, 'guest-agent-operation', 'run-script', script);
    const stdout = `${await guest.run('uname -r')}\n`;
    expect(JSON.parse(ran as string)).toEqual({ rc: 3, stdout, stderr: '' });
    await session.call('VM.send_trigger', vm, 'nmi');
    await guest.run("waitfor 'dmesg | grep -q NMI.received'");
    await guest.run('echo 1 >/proc/sys/kernel/sysrq');
    await session.call('VM.send_sysrq', vm, 'h');
    await guest.run("waitfor 'dmesg | grep -q sysrq:.HELP'");

    const [one, other] = [await disk(64 << 20), await disk(8 << 20)];
    const drives = await Promise.all([newDrive(session, vm, one, '1'), newDrive(session, vm, other, '2')]);
    for (const drive of drives) await session.call('VBD.plug', drive);
    await guest.run("waitfor '[ -b /dev/vdb -a -b /dev/vdc ]' && pad x | dd of=/dev/vdc conv=fsync");
    const medium = await disk(1 << 20);
    await upload(medium, Buffer.alloc(1 << 20, 'a medium\n'));
    await session.call('VBD.insert', cd, medium);
    await guest.run("waitfor 'head -n1 /dev/sr0 2>/dev/null | grep -q medium'");
    await session.call('VBD.eject', cd);
    await guest.run("waitfor '! head -n1 /dev/sr0 2>/dev/null | grep -q medium'");
    await session.call('VBD.unplug', drives[1] ?? '');
    await guest.run("waitfor '[ ! -b /dev/vdc ]'");
    const second = (await card(vm, '1')) as string;
    await session.call('VIF.plug', second);
    await guest.run("waitfor '[ -e /sys/class/net/eth1 ]'");
    await session.call('VIF.unplug', second);
    await guest.run("waitfor '[ ! -e /sys/class/net/eth1 ]'");

    await session.call('VM.set_VCPUs_number_live', vm, 2n);
    await guest.run(
      "cpu=/sys/devices/system/cpu/cpu1; waitfor '[ -e $cpu ]' && echo 1 >$cpu/online && nproc | grep -q 2",
    );
    // The guest takes its time; asked again once it has given the memory, the answer is exact.
    const lessMemory = (): Promise<Value> =>
      session.call('VM.set_memory_dynamic_range', vm, 192n * mib, 192n * mib);
    await lessMemory();
    await guest.run('waitfor \'[ $(free -m | awk "/Mem/ { print \\$2 }") -lt 190 ]\'');
    await lessMemory();
    expect(await session.call('VM_metrics.get_memory_actual', await metricsOf(vm))).toBe(`${192n * mib}`);

    await guest.run("(writing /dev/vdb) & waitfor '[ -s /run/synced ]'");
    const before = Number(await guest.run('synced'));
    const snapshot = await session.call('VM.snapshot', vm, 'in the middle of its writing', []);
    await guest.run(`waitfor '[ $(synced) -gt ${before + 5} ]' && check /dev/vdb $(synced)`);
    guest.close();
    const checkpoint = await session.call('VM.checkpoint', vm, 'while it writes');
    guest = await shell(vm);
    const then = Number(await guest.run('synced'));
    await guest.run(`waitfor '[ $(synced) -gt ${then + 5} ]' && check /dev/vdb $(synced)`);
    guest.close();

    await session.call('VM.suspend', vm);
    await session.call('VM.resume_on', vm, hosts[1] ?? '', false, false);
    guest = await shell(vm);
    expect(await tpmStarts(guest)).toBe(starts);
    const woken = Number(await guest.run('synced'));
    await guest.run(`waitfor '[ $(synced) -gt ${woken + 5} ]' && check /dev/vdb $(synced)`);
    // On a host that is not the coordinator, whose daemon has a part in all of this.
    await session.call('VM.snapshot', vm, 'where it woke', []);
    const moved = (await session.call('VDI.pool_migrate', one, elsewhere, none)) as string;
    expect(await session.call('VDI.get_SR', moved)).toBe(elsewhere);
    const arrived = Number(await guest.run('synced'));
    await guest.run(`waitfor '[ $(synced) -gt ${arrived + 5} ]' && check /dev/vdb $(synced)`);
    guest.close();

    await session.call('VM.revert', checkpoint);
    await session.call('VM.resume_on', vm, hosts[0] ?? '', false, false);
    guest = await shell(vm);
    await guest.run(`waitfor '[ $(synced) -gt ${before + 5} ]' && check /dev/vdb $(synced)`);
    guest.close();
    await session.call('VM.revert', snapshot);
    await session.call('VM.start', vm, false, false);
    guest = await booted(vm);
    await guest.run(`check /dev/vdb ${before}`);
    // As the snapshot had it, and once more.
    expect(await tpmStarts(guest)).toBe(starts === undefined ? undefined : starts + 1);
    await agentSays(vm, (row) => (row.get('os_version') as Row).size > 0);
    await session.call('VM.clean_shutdown', vm);
    guest.close();
    await untilState(session, vm, 'Halted');
  });

  test('boots by UEFI, and goes down by its power button where it has no agent', async () => {
    const vm = await newLinux('uefi');
    await session.call('VM.start', vm, false, false);
    const guest = await booted(vm);
    await guest.run('[ -d /sys/firmware/efi ] && killall qemu-ga');
    await session.call('VM.clean_shutdown', vm);
    guest.close();
    await untilState(session, vm, 'Halted');
    const packed = ((await session.call('VM.get_NVRAM', vm)) as Row).get('EFI-variables') as string;
    const variables = gunzipSync(Buffer.from(packed, 'base64'));
    expect(variables.includes(Buffer.from('BootOrder', 'utf16le'))).toBe(true);
  });
});

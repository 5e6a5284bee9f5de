import { struct } from '../../src/std/value.ts';
import { drive, newDisk, newDrive, newVm, smallMemory, until } from './fixtures.ts';
import {
  disks,
  expect,
  type Repository,
  type Run,
  type Scenario,
  Skipped,
  type SrScenario,
  same,
} from './scenario.ts';
import { bytesOf, nullRef, type Row, rowOf, rowsOf, textIn, textsIn } from './server.ts';

const withDisks = async (
  run: Run,
  sr: string,
  name: string,
): Promise<{ vm: string; vdis: readonly string[] }> => {
  const vm = await newVm(run, name);
  const vdis: string[] = [];
  for (const userdevice of ['0', '1']) {
    const vdi = await newDisk(run, sr);
    await newDrive(run, drive(vm, vdi, { userdevice }));
    vdis.push(vdi);
  }
  return { vm, vdis };
};

const drivesOf = async ({ server }: Run, vm: string): Promise<ReadonlyMap<string, Row>> => {
  const rows = await Promise.all(
    textsIn(await rowOf(server, 'VM', vm), 'VBDs').map((vbd) => rowOf(server, 'VBD', vbd)),
  );
  return new Map(rows.map((row) => [textIn(row, 'userdevice'), row]));
};

const snapshot = async ({ server }: Run, vm: string, ignored: readonly string[] = []): Promise<string> =>
  String(await server.call('VM.snapshot', vm, 'quicktest snapshot', ignored));

const snapshots = async (run: Run, { ref }: Repository): Promise<void> => {
  const { server } = run;
  const { vm, vdis } = await withDisks(run, ref, 'snapshot');
  const taken = await snapshot(run, vm);
  same(await server.call('VM.get_snapshot_of', taken), vm, 'snapshot_of');
  const drives = await drivesOf(run, taken);
  same([...drives.keys()].sort(), ['0', '1'], 'the devices of the snapshot');
  for (const [at, vdi] of vdis.entries()) {
    const copy = textIn(drives.get(String(at)) ?? new Map(), 'VDI');
    same(await server.call('VDI.get_snapshot_of', copy), vdi, `what the disk ${at} is a snapshot of`);
  }
};

const ignoring = async (run: Run, { ref }: Repository): Promise<void> => {
  const { vm, vdis } = await withDisks(run, ref, 'snapshot without a disk');
  const taken = await snapshot(run, vm, vdis.slice(1));
  same([...(await drivesOf(run, taken)).keys()], ['0'], 'the devices of the snapshot');
};

const revert = async (run: Run, { ref, allowed, features }: Repository): Promise<void> => {
  const { server } = run;
  const { vm, vdis } = await withDisks(run, ref, 'revert');
  const taken = await snapshot(run, vm, vdis.slice(1));
  await server.call('VM.revert', taken);
  const drives = await drivesOf(run, vm);
  same([...drives.keys()], ['0'], 'the devices after the revert');
  const vdi = textIn(drives.get('0') ?? new Map(), 'VDI');
  const reverts = allowed.has('vdi_revert') || features.has('VDI_REVERT');
  if (reverts) same(vdi, vdis[0], 'the disk after the revert');
  else expect(vdi !== vdis[0], 'the repository does not revert, and the disk is the same');
};

const revertWithDiscs = async (run: Run): Promise<void> => {
  const { server } = run;
  const vm = await newVm(run, 'revert with discs');
  const discs: string[] = [];
  for (const [, row] of await rowsOf(server, 'SR')) {
    if (textIn(row, 'content_type') === 'iso') discs.push(...textsIn(row, 'VDIs'));
  }
  const [disc] = discs;
  if (disc === undefined) throw new Skipped('there is no ISO in any library');
  const cd = { type: 'CD', mode: 'RO' };
  for (const userdevice of ['2', '3']) await newDrive(run, drive(vm, disc, { ...cd, userdevice }));
  const taken = await snapshot(run, vm);
  same((await drivesOf(run, taken)).size, 2, 'the drives of the snapshot');
  await server.call('VM.revert', taken);
  const drives = [...(await drivesOf(run, vm)).values()];
  same(
    drives.map((row) => textIn(row, 'VDI')),
    [disc, disc],
    'the discs after the revert',
  );
};

const running = (row: Row): boolean =>
  textIn(row, 'power_state') === 'Running' && Number(row.get('domid')) > 0;

const actMs = 300_000;

const start = async (run: Run, vm: string): Promise<bigint> => {
  const { server } = run;
  if ((await server.call('VM.get_power_state', vm)) === 'Halted')
    await server.call('VM.start', vm, false, false);
  return (await until(run, 'VM', vm, running, actMs)).get('domid') as bigint;
};

const rebooted = async (run: Run, vm: string, act: () => Promise<unknown>): Promise<void> => {
  const before = await start(run, vm);
  await act();
  await until(run, 'VM', vm, (row) => running(row) && row.get('domid') !== before, actMs);
};

const halted = async (run: Run, vm: string, act: () => Promise<unknown>): Promise<void> => {
  await start(run, vm);
  await act();
  await until(run, 'VM', vm, (row) => Number(row.get('domid')) === -1, actMs);
};

const lifecycle = async (run: Run): Promise<void> => {
  const { server } = run;
  const vm = await newVm(run, 'lifecycle');
  await smallMemory(run, vm);
  await halted(run, vm, () => server.call('VM.hard_shutdown', vm));
  await rebooted(run, vm, () => server.call('VM.hard_reboot', vm));
};

const ownActs = async (run: Run): Promise<void> => {
  const { server, guestActs, basic } = run;
  if (guestActs === undefined) throw new Skipped('nothing was given that makes guests act (--guest-acts)');
  const vm = await newVm(run, 'acts by itself');
  await smallMemory(run, vm);
  const uuid = await server.call('VM.get_uuid', vm);
  const does = (act: string) => async (): Promise<void> => {
    const path = `${guestActs}/${uuid}/${act}`;
    const answer = await server.ask({ method: 'POST', path, headers: { authorization: basic } });
    const said = (await bytesOf(answer)).toString('utf8');
    if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${said}`);
  };
  await rebooted(run, vm, does('reboot'));
  await halted(run, vm, does('poweroff'));
  await server.call('VM.set_actions_after_crash', vm, 'destroy');
  await halted(run, vm, does('crash'));
};

const many = 4;

const memory = async (run: Run): Promise<void> => {
  const { server } = run;
  const first = await newVm(run, 'memory');
  await smallMemory(run, first);
  const vms = [first];
  while (vms.length < many) {
    const vm = String(await server.call('VM.clone', first, 'quicktest memory'));
    vms.push(vm);
    run.later(async () => {
      if ((await server.call('VM.get_power_state', vm)) !== 'Halted')
        await server.call('VM.hard_shutdown', vm);
      await server.call('VM.destroy', vm);
    });
  }
  const hosts = (await server.call('host.get_all')) as readonly string[];
  const [home = '', other] = hosts;
  for (const vm of vms) await server.call('VM.start_on', vm, home, false, false);
  const move = (vm: string, host: string, force: string) =>
    server.call('VM.pool_migrate', vm, host, struct({ live: 'true', force }));
  await move(first, home, 'true');
  await server.call('VM.pause', first);
  await server.call('VM.unpause', first);
  for (const host of other === undefined ? [] : [other, home]) {
    await Promise.all(vms.map((vm) => move(vm, host, 'false')));
    for (const vm of vms) same(await server.call('VM.get_resident_on', vm), host, 'where a VM is');
  }
  await Promise.all(vms.map((vm) => server.call('VM.hard_reboot', vm)));
  await Promise.all(vms.map((vm) => server.call('VM.hard_shutdown', vm)));
  for (const vm of vms) same(await server.call('VM.get_power_state', vm), 'Halted', 'the power state');
};

const exported = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const vm = await newVm(run, 'export');
  await newDrive(run, drive(vm, nullRef, { userdevice: '0', type: 'CD', mode: 'RO', empty: true }));
  const vdi = await newDisk(run, repository.ref);
  await newDrive(run, drive(vm, vdi, { userdevice: '1', other_config: struct({ owner: '' }) }));
  const answer = await server.ask({ method: 'GET', path: `/export?session_id=${server.session}&ref=${vm}` });
  if (answer.status !== 200) {
    const said = (await bytesOf(answer)).toString('utf8');
    const lacks = [404, 501].includes(answer.status) || said.includes('NOT_IMPLEMENTED');
    if (lacks) throw new Skipped('the server exports no VMs');
    throw new Error(`the export was answered ${answer.status}: ${said.slice(0, 200)}`);
  }
  const image = await bytesOf(answer);
  const path = `/import?session_id=${server.session}&sr_id=${repository.ref}`;
  const headers = { 'content-length': String(image.length) };
  const taken = await server.ask({ method: 'PUT', path, headers, body: () => [image] });
  await bytesOf(taken);
  if (taken.status === 501) throw new Skipped('the server imports no VMs');
  same(taken.status, 200, 'the status of the import');
  const before = await drivesOf(run, vm);
  const name = await server.call('VM.get_name_label', vm);
  const named = (await server.call('VM.get_by_name_label', name)) as readonly string[];
  const [copy = ''] = named.filter((ref) => ref !== vm);
  const after = await drivesOf(run, copy);
  for (const one of await drivesOf(run, copy).then((rows) => [...rows.values()])) {
    if (textIn(one, 'VDI') !== nullRef) run.later(() => server.call('VDI.destroy', textIn(one, 'VDI')));
  }
  run.later(() => server.call('VM.destroy', copy));
  same([...after.keys()].sort(), [...before.keys()].sort(), 'the devices of the imported VM');
  for (const [device, row] of before) {
    const there = after.get(device) ?? new Map();
    same(
      [there.get('type'), there.get('empty')],
      [row.get('type'), row.get('empty')],
      `the device ${device}`,
    );
  }
  expect(textIn(after.get('1') ?? new Map(), 'VDI') !== vdi, 'both VMs have one disk');
};

export const machines: readonly Scenario[] = [
  { name: 'VM.revert with discs', run: revertWithDiscs },
  { name: 'life cycle of a VM', run: lifecycle },
  { name: 'what a guest does by itself', run: ownActs },
  { name: 'many VMs, moved and rebooted', run: memory },
];

const branching = { ...disks, features: ['VDI_SNAPSHOT', 'VDI_CLONE'] };

export const machinesOnDisks: readonly SrScenario[] = [
  { name: 'VM.snapshot', wanted: branching, run: snapshots },
  { name: 'VM.snapshot without a disk', wanted: branching, run: ignoring },
  { name: 'VM.revert', wanted: branching, run: revert },
  { name: 'export and import of a VM', wanted: disks, run: exported },
];

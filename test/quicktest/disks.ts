import { struct } from '../../src/std/value.ts';
import {
  discard,
  diskRecord,
  drive,
  gib,
  hostOf,
  inHost,
  mib,
  newDisk,
  newDrive,
  newVm,
  resultOf,
  updates,
} from './fixtures.ts';
import {
  disks,
  expect,
  type Repository,
  type Run,
  refusal,
  Skipped,
  type SrScenario,
  same,
  type Wanted,
} from './scenario.ts';
import { nullRef, Refused, type Row, rowOf, textIn, textsIn } from './server.ts';

const sizeOf = async ({ server }: Run, vdi: string): Promise<bigint> =>
  (await server.call('VDI.get_virtual_size', vdi)) as bigint;

const sizes = async (run: Run, { ref }: Repository): Promise<void> => {
  const { server } = run;
  for (const megabytes of [4, 5, 6, 7, 8]) {
    const wanted = BigInt(megabytes * mib + 1);
    const vdi = await newDisk(run, ref, { virtual_size: wanted });
    const has = await sizeOf(run, vdi);
    expect(has >= wanted, `a disk of ${wanted} bytes has ${has}`);
    const uuid = await server.call('VDI.get_uuid', vdi);
    await server.call('VDI.destroy', vdi);
    const left = await server.call('VDI.get_by_uuid', uuid).catch(() => undefined);
    if (left !== undefined)
      same(await server.call('VDI.get_managed', String(left)), false, 'managed afterwards');
  }
};

const someDisk = async (run: Run, repository: Repository): Promise<string> => {
  const [first] = textsIn(await rowOf(run.server, 'SR', repository.ref), 'VDIs');
  if (first !== undefined) return first;
  if (!repository.allowed.has('vdi_create')) throw new Skipped('it has no disk');
  return newDisk(run, repository.ref);
};

const resize = async (run: Run, { ref }: Repository): Promise<void> => {
  const vdi = await newDisk(run, ref);
  const wanted = (await sizeOf(run, vdi)) + BigInt(mib);
  await run.server.call('VDI.resize', vdi, wanted);
  const has = await sizeOf(run, vdi);
  expect(has >= wanted, `a disk resized to ${wanted} bytes has ${has}`);
};

const privateForget = async (run: Run, repository: Repository): Promise<void> => {
  const error = await refusal(
    run.server.call('VDI.db_forget', await someDisk(run, repository)),
    'VDI.db_forget',
  );
  same(error instanceof Refused ? error.code : error.message, 'PERMISSION_DENIED', 'the answer');
};

const introduced = (uuid: string, sr: string, location: string) => [
  uuid,
  'quicktest',
  '',
  sr,
  'user',
  false,
  false,
  struct({}),
  location,
  struct({}),
  struct({}),
];

const badIntroduce = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const there = await rowOf(server, 'VDI', await someDisk(run, repository));
  const uuid = textIn(there, 'uuid');
  const twice = server.call('VDI.introduce', ...introduced(uuid, repository.ref, 'somewhere'));
  expect(
    (await refusal(twice, 'a uuid that is taken')) instanceof Refused,
    'the answer was no error of the API',
  );
  const place = textIn(there, 'location');
  await refusal(
    server.call('VDI.introduce', ...introduced(globalThis.crypto.randomUUID(), repository.ref, place)),
    'a location that is taken',
  );
};

const tags = ['quicktest', 'tagged'];

const tagged = async (run: Run, sr: string): Promise<readonly [string, Row]> => {
  const vdi = await newDisk(run, sr);
  await run.server.call('VDI.set_tags', vdi, tags);
  return [vdi, await rowOf(run.server, 'VDI', vdi)];
};

const likeness = (original: Row, copy: Row): void => {
  same(copy.get('virtual_size'), original.get('virtual_size'), 'the size');
  same([...textsIn(copy, 'tags')].sort(), tags, 'the tags');
  expect(textIn(copy, 'location') !== textIn(original, 'location'), 'both have one location');
};

const secondsOf = (row: Row, field: string): number => {
  const { dateTime } = row.get(field) as { dateTime: string };
  return Date.parse(dateTime.replace(/^(\d{4})(\d\d)(\d\d)T/, '$1-$2-$3T')) / 1000;
};

const checkSnapshot = async (run: Run, vdi: string): Promise<void> => {
  const { server } = run;
  const clock = async (): Promise<number> => {
    const [host = ''] = (await server.call('host.get_all')) as readonly string[];
    return secondsOf(new Map([['at', await server.call('host.get_servertime', host)]]), 'at');
  };
  const beganAt = await clock();
  const snapshot = discard(run, String(await server.call('VDI.snapshot', vdi)));
  const endedAt = await clock();
  const row = await rowOf(server, 'VDI', snapshot);
  const at = secondsOf(row, 'snapshot_time');
  expect(at >= beganAt - 1 && at <= endedAt + 1, `snapshot_time ${at} is not from ${beganAt} to ${endedAt}`);
  same(row.get('is_a_snapshot'), true, 'is_a_snapshot');
  same(row.get('snapshot_of'), vdi, 'snapshot_of');
  likeness(await rowOf(server, 'VDI', vdi), row);
  await updates(run, 'VDI', snapshot);
  await server.call('VDI.destroy', snapshot);
};

const clone = async (run: Run, { ref }: Repository): Promise<void> => {
  const [vdi, row] = await tagged(run, ref);
  const cloned = discard(run, String(await run.server.call('VDI.clone', vdi)));
  likeness(row, await rowOf(run.server, 'VDI', cloned));
};

const snapshotPlugged = async (run: Run, repository: Repository): Promise<void> => {
  const [vdi] = await tagged(run, repository.ref);
  const { domain } = await hostOf(run, repository);
  const { takeOut } = await inHost(run, domain, vdi);
  await checkSnapshot(run, vdi);
  await takeOut();
  await checkSnapshot(run, vdi);
};

const copyBesideDrive = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const vdi = await newDisk(run, repository.ref);
  const { domain } = await hostOf(run, repository);
  const [userdevice] = (await server.call('VM.get_allowed_VBD_devices', domain)) as readonly string[];
  if (userdevice === undefined) throw new Skipped('the host has no device left');
  await newDrive(run, drive(domain, vdi, { userdevice }));
  discard(run, String(await server.call('VDI.copy', vdi, repository.ref, nullRef, nullRef)));
};

const manyReaders = async (run: Run, repository: Repository): Promise<void> => {
  const vdi = await someDisk(run, repository);
  const { domain } = await hostOf(run, repository);
  const drives = await Promise.all(Array.from({ length: 20 }, () => inHost(run, domain, vdi, 'RO')));
  await Promise.all(drives.map(({ takeOut }) => takeOut()));
};

const pluggedSizes = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const { domain, pbd } = await hostOf(run, repository);
  run.later(async () => {
    if ((await server.call('PBD.get_currently_attached', pbd)) !== true) await server.call('PBD.plug', pbd);
  });
  await server.call('PBD.unplug', pbd);
  await server.call('PBD.plug', pbd);
  for (const bytes of [4 * mib, gib]) {
    const vdi = await newDisk(run, repository.ref, { virtual_size: BigInt(bytes) });
    const { takeOut } = await inHost(run, domain, vdi);
    expect((await sizeOf(run, vdi)) >= BigInt(bytes), 'the disk became smaller in the host');
    await takeOut();
  }
};

const migration = async (run: Run, source: Repository): Promise<void> => {
  const { server, repositories } = run;
  const fits = ({ ref, allowed, features }: Repository): boolean =>
    ref !== source.ref &&
    allowed.has('vdi_mirror') &&
    allowed.has('vdi_create') &&
    features.has('VDI_MIRROR');
  const target = repositories.find(fits);
  if (target === undefined) throw new Skipped('there is no other repository that mirrors');
  const vm = await newVm(run, 'moves a disk');
  const vdi = String(
    await server.call('VDI.create', diskRecord(source.ref, { virtual_size: BigInt(2 * mib) })),
  );
  discard(run, vdi);
  await newDrive(run, drive(vm, vdi, { userdevice: '0' }));
  const options = struct({ 'dest-img-format': 'vhd' });
  const moved = discard(
    run,
    await resultOf(run, String(await server.call('Async.VDI.pool_migrate', vdi, target.ref, options))),
  );
  same(await server.call('VDI.get_SR', moved), target.ref, "the moved disk's repository");
};

const snapshots: Wanted = { ...disks, features: ['VDI_SNAPSHOT', 'VDI_UPDATE'] };

export const diskScenarios: readonly SrScenario[] = [
  { name: 'sizes of disks', wanted: { ...disks, features: ['VDI_CREATE', 'VDI_DELETE'] }, run: sizes },
  {
    name: 'VDI.generate_config',
    wanted: { features: ['VDI_GENERATE_CONFIG'] },
    run: async (run, repository) => {
      const { host } = await hostOf(run, repository);
      await run.server.call('VDI.generate_config', host, await someDisk(run, repository));
    },
  },
  {
    name: 'VDI.update',
    wanted: { features: ['VDI_UPDATE'] },
    run: async (run, repository) => updates(run, 'VDI', await someDisk(run, repository)),
  },
  { name: 'VDI.resize', wanted: { ...disks, features: ['VDI_RESIZE'] }, run: resize },
  { name: 'VDI.db_forget is private', wanted: {}, run: privateForget },
  { name: 'bad VDI.introduce', wanted: { features: ['VDI_INTRODUCE'] }, run: badIntroduce },
  {
    name: 'VDI.snapshot',
    wanted: snapshots,
    run: async (run, { ref }) => checkSnapshot(run, (await tagged(run, ref))[0]),
  },
  { name: 'VDI.clone', wanted: { ...disks, features: ['VDI_CLONE'] }, run: clone },
  { name: 'VDI.snapshot of a disk in the host', wanted: snapshots, run: snapshotPlugged },
  {
    name: 'sizes of disks in the host',
    wanted: { ...disks, allowed: ['vdi_create', 'vdi_destroy', 'unplug'], features: ['VDI_ATTACH'] },
    run: pluggedSizes,
  },
  { name: 'VDI.copy beside a drive', wanted: disks, run: copyBesideDrive },
  {
    name: 'a disk read twenty times by a host',
    wanted: { otherwise: ({ type }) => type !== 'udev' },
    run: manyReaders,
  },
  {
    name: 'VDI.pool_migrate',
    wanted: { allowed: ['vdi_mirror', 'vdi_snapshot', 'vdi_create'], notIso: true },
    run: migration,
  },
];

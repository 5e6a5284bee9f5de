import { struct } from '../../src/std/value.ts';
import { hostOf, updates } from './fixtures.ts';
import { expect, type Repository, type Run, Skipped, type SrScenario, same } from './scenario.ts';
import { rowOf, textIn, textsIn } from './server.ts';

const probe = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const { pbd } = await hostOf(run, repository);
  const { row, type } = repository;
  const inUse = await Promise.all(textsIn(row, 'VDIs').map((vdi) => rowOf(server, 'VDI', vdi)));
  const drives = await Promise.all(
    inUse.flatMap((one) => textsIn(one, 'VBDs')).map((vbd) => rowOf(server, 'VBD', vbd)),
  );
  if (drives.some((one) => one.get('currently_attached') === true)) throw new Skipped('its disks are in use');
  const { host, device_config } = Object.fromEntries(await rowOf(server, 'PBD', pbd));
  await server.call('PBD.unplug', pbd);
  run.later(async () => {
    if ((await server.call('PBD.get_currently_attached', pbd)) !== true) await server.call('PBD.plug', pbd);
  });
  const found = await server.call('SR.probe', host ?? '', device_config ?? '', type, struct({}));
  const uuids = [...String(found).matchAll(/<UUID>\s*([^<\s]+)\s*<\/UUID>/gi)].map(([, uuid]) => uuid);
  expect(uuids.includes(textIn(row, 'uuid')), `the probe found ${uuids.join() || 'nothing'}: ${found}`);
};

const rename = async ({ server }: Run, { ref, row }: Repository, later: Run['later']): Promise<void> => {
  for (const [field, value] of [
    ['name_label', `quicktest ${textIn(row, 'name_label')}`],
    ['name_description', 'renamed by quicktest'],
  ] as const) {
    later(() => server.call(`SR.set_${field}`, ref, textIn(row, field)));
    await server.call(`SR.set_${field}`, ref, value);
    same(await server.call(`SR.get_${field}`, ref), value, `the ${field}`);
  }
};

export const repositories: readonly SrScenario[] = [
  {
    name: 'SR.scan',
    wanted: { allowed: ['scan'] },
    run: async ({ server }, { ref }) => void (await server.call('SR.scan', ref)),
  },
  {
    name: 'SR.update',
    wanted: { features: ['SR_UPDATE'] },
    run: async ({ server }, { ref }) => void (await server.call('SR.update', ref)),
  },
  {
    name: 'SR.probe finds what is there',
    wanted: { allowed: ['unplug'], features: ['SR_PROBE'] },
    run: probe,
  },
  {
    name: 'SR names',
    wanted: { allowed: ['update'] },
    run: async (run, repository) => {
      await rename(run, repository, run.later);
      await updates(run, 'SR', repository.ref);
    },
  },
];

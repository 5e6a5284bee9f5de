import { discard, newDisk, updates } from './fixtures.ts';
import { expect, type Repository, type Run, type SrScenario, same } from './scenario.ts';
import { mapIn, nullRef, rowOf, textIn } from './server.ts';

const enabled = async ({ server }: Run, vdi: string, wanted: boolean, what: string): Promise<void> =>
  same(await server.call('VDI.get_cbt_enabled', vdi), wanted, `cbt_enabled of ${what}`);

const life = async (run: Run, repository: Repository): Promise<void> => {
  const { server } = run;
  const vdi = await newDisk(run, repository.ref);
  await server.call('VDI.enable_cbt', vdi);
  await enabled(run, vdi, true, 'the disk');
  await updates(run, 'VDI', vdi);
  const snapshot = discard(run, String(await server.call('VDI.snapshot', vdi)));
  await enabled(run, snapshot, true, 'a snapshot of it');
  await updates(run, 'VDI', snapshot);
  await server.call('VDI.disable_cbt', vdi);
  await enabled(run, vdi, false, 'the disk that is tracked no more');
  await updates(run, 'VDI', vdi);
  const later = discard(run, String(await server.call('VDI.snapshot', vdi)));
  await enabled(run, later, false, 'a later snapshot');
  await updates(run, 'VDI', later);
  await server.call('VDI.data_destroy', snapshot);
  const row = await rowOf(server, 'VDI', snapshot);
  same(textIn(row, 'type'), 'cbt_metadata', 'the type');
  await enabled(run, snapshot, true, 'what is left of the snapshot');
  const content = mapIn(row, 'other_config').get('content_id');
  expect(
    content === undefined || content === '/No content: this is a cbt_metadata VDI/',
    `content_id is ${content}`,
  );
};

const copies = async (run: Run, { ref }: Repository): Promise<void> => {
  const { server } = run;
  const vdi = await newDisk(run, ref);
  await server.call('VDI.enable_cbt', vdi);
  const clone = discard(run, String(await server.call('VDI.clone', vdi)));
  const copy = discard(run, String(await server.call('VDI.copy', vdi, ref, nullRef, nullRef)));
  const third = await newDisk(run, ref);
  await server.call('VDI.copy', vdi, nullRef, copy, third);
  await enabled(run, vdi, true, 'the original');
  await enabled(run, clone, false, 'the clone');
  await enabled(run, copy, false, 'the copy');
  await enabled(run, third, false, 'what a difference was copied into');
};

export const trackingScenarios: readonly SrScenario[] = [
  {
    name: 'changed block tracking, its life',
    wanted: {
      allowed: ['vdi_create', 'vdi_enable_cbt', 'vdi_disable_cbt', 'vdi_data_destroy', 'vdi_snapshot'],
      features: ['VDI_UPDATE'],
    },
    run: life,
  },
  {
    name: 'changed block tracking and copies',
    wanted: {
      allowed: ['vdi_create', 'vdi_destroy', 'vdi_enable_cbt', 'vdi_clone'],
      features: ['VDI_UPDATE'],
    },
    run: copies,
  },
];

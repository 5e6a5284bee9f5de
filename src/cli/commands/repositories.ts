import { nullRef, type Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { boolOf, sizeOf } from '../given.ts';
import { coordinatorOf } from './hosts.ts';

// Storage repositories: made, and looked for.

/** The host that `host-uuid` names, or the coordinator where it is left out. */
const hostOrCoordinator = (run: CommandRun): Promise<Ref<'host'>> =>
  run.params.get('host-uuid') === undefined
    ? coordinatorOf(run)
    : run.api.send('host.get_by_uuid', run.params.need('host-uuid'));

/** Where is looked, and for what. */
const probeOf = async (run: CommandRun) => ({
  ...{ host: await hostOrCoordinator(run), device_config: run.params.map('device-config') },
  ...{ type: run.params.need('type'), sm_config: run.params.map('sm-config') },
});

export const repositoryCommands: readonly Command[] = [
  {
    ...{ name: 'sr-create', doc: 'Makes a storage repository, and a connection to it.' },
    required: ['name-label', 'type'],
    optional: [
      ...['name-description', 'host-uuid', 'device-config:', 'shared', 'physical-size'],
      ...['content-type', 'sm-config:'],
    ],
    run: async (run) => {
      const { api, params, print } = run;
      const shared = params.get('shared');
      const sr = await api.call('SR.create', nullRef as Ref<'SR'>, {
        host: await hostOrCoordinator(run),
        device_config: params.map('device-config'),
        physical_size: sizeOf('physical-size', params.get('physical-size') ?? '0'),
        name_label: params.need('name-label'),
        name_description: params.get('name-description') ?? '',
        type: params.need('type'),
        content_type: params.get('content-type') ?? '',
        shared: shared !== undefined && boolOf('shared', shared),
        sm_config: params.map('sm-config'),
      });
      await print.list([await api.send('SR.get_uuid', sr)]);
    },
  },
  {
    ...{ name: 'sr-probe', doc: 'Looks for storage, and shows what was found.', required: ['type'] },
    optional: ['host-uuid', 'device-config:', 'sm-config:'],
    run: async (run) => {
      const { api, print } = run;
      const found = await api.call('SR.probe', nullRef as Ref<'SR'>, await probeOf(run));
      await print.list([found]);
    },
  },
  {
    ...{ name: 'sr-probe-ext', doc: 'Looks for storage, and shows what was found in parts.' },
    ...{ required: ['type'], optional: ['host-uuid', 'device-config:', 'sm-config:'] },
    run: async (run) => {
      const found = await run.api.call('SR.probe_ext', nullRef as Ref<'SR'>, await probeOf(run));
      await printFound(run, found);
    },
  },
];

/** As `SR.probe_ext` answers: `sr`, `complete`, `configuration`, `extra_info`. */
type Found = ReadonlyMap<string, unknown>;
type Facts = ReadonlyMap<string, unknown>;

const srFacts = [
  'uuid',
  'name_label',
  'name_description',
  'total_space',
  'free_space',
  'clustered',
  'health',
];

/** Storage that is there already comes first, then what could be used, then what more has to be said of. */
const printFound = async ({ print }: CommandRun, found: readonly Found[]): Promise<void> => {
  const table = (facts: unknown) =>
    print.table([[...(facts as Facts)].map(([name, value]) => [name, String(value)] as const)]);
  const parts = async (name: string, one: Found): Promise<void> => {
    await print.message(`${name}configuration:`);
    await table(one.get('configuration'));
    await print.message(`${name}extra information:`);
    await table(one.get('extra_info'));
  };
  const there = found.filter((one) => one.has('sr'));
  if (there.length > 0) await print.message('The following SRs were found:');
  for (const [i, one] of there.entries()) {
    const sr = one.get('sr') as Facts;
    await print.message(`SR ${i}:`);
    const facts = srFacts.filter((name) => sr.has(name));
    await table(new Map(facts.map((name) => [name.replaceAll('_', '-'), sr.get(name)])));
    await parts(`SR ${i} `, one);
  }
  for (const isComplete of [true, false]) {
    const some = found.filter((one) => !one.has('sr') && one.get('complete') === isComplete);
    if (some.length > 0)
      await print.message(`Found the following ${isComplete ? '' : 'in'}complete configurations:`);
    for (const [i, one] of some.entries()) await parts(`Configuration ${i} `, one);
  }
};

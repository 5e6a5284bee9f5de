import type { Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { boolOf } from '../given.ts';
import { type ApiRow, rowsOfClass } from '../lookup.ts';
import { chosenRows, onEach } from '../selectors.ts';
import { called } from '../tasks.ts';

// VMs in their life: started and stopped, moved, copied.

type Vm = Ref<'VM'>;
type Details = Omit<Command, 'name' | 'doc' | 'run'> & { readonly any?: true };

const vmOf = ({ ref }: ApiRow): Vm => ref as Vm;

/** A command that does something to each VM that is chosen. */
const onVms = (
  classes: readonly Listed[],
  name: string,
  doc: string,
  { any, ...details }: Details,
  act: (run: CommandRun, vm: Vm, row: ApiRow) => Promise<void>,
): Command => {
  const command = { name, doc, selects: 'vm', standard: true, ...details } as const;
  return {
    ...command,
    run: async (run) => {
      const rows = await chosenRows(run, { classes, command, ...(any && { any }) });
      await onEach(run, rows, (row) => act(run, vmOf(row), row));
    },
  };
};

const isForced = ({ params }: CommandRun): boolean => params.flag('force');

/** The host that is named by its uuid, its name on the network or its label. */
export const hostNamed = async ({ api }: CommandRun, text: string): Promise<Ref<'host'>> => {
  const hosts = await rowsOfClass(api, 'host');
  const found = hosts.filter(({ record }) =>
    ['uuid', 'hostname', 'name_label'].some((name) => record[name] === text),
  );
  const [only] = found;
  if (only === undefined) throw new CommandFailure(`No host is called '${text}'`);
  if (found.length > 1) throw new CommandFailure(`Several hosts are called '${text}': name one by its uuid`);
  return only.ref as Ref<'host'>;
};

const power = (classes: readonly Listed[]): readonly Command[] => [
  onVms(classes, 'vm-start', 'Starts VMs.', { optional: ['force', 'on', 'paused'] }, async (run, vm) => {
    const how = [run.params.flag('paused'), isForced(run)];
    const on = run.params.get('on');
    if (on === undefined) await called(run, 'VM.start', vm, ...how);
    else await called(run, 'VM.start_on', vm, await hostNamed(run, on), ...how);
  }),
  onVms(classes, 'vm-resume', 'Resumes suspended VMs.', { optional: ['force', 'on'] }, async (run, vm) => {
    const how = [false, isForced(run)];
    const on = run.params.get('on');
    if (on === undefined) await called(run, 'VM.resume', vm, ...how);
    else await called(run, 'VM.resume_on', vm, await hostNamed(run, on), ...how);
  }),
  onVms(classes, 'vm-shutdown', 'Shuts VMs down.', { optional: ['force'] }, (run, vm) =>
    called(run, isForced(run) ? 'VM.hard_shutdown' : 'VM.clean_shutdown', vm),
  ),
  onVms(classes, 'vm-reboot', 'Reboots VMs.', { optional: ['force'] }, (run, vm) =>
    called(run, isForced(run) ? 'VM.hard_reboot' : 'VM.clean_reboot', vm),
  ),
];

const migrateOptions = [
  ...['live', 'host', 'host-uuid', 'remote-master', 'remote-username', 'remote-password'],
  ...['remote-network', 'force', 'copy', 'compress', 'vif:', 'vdi:', 'image-format:'],
];

const migrate = (classes: readonly Listed[]): Command =>
  onVms(
    classes,
    'vm-migrate',
    'Moves VMs to another host of the pool.',
    { optional: migrateOptions },
    async (run, vm) => {
      const { params } = run;
      const further = ['remote-master', 'remote-network'].find((name) => params.get(name) !== undefined);
      if (further !== undefined || params.map('vdi').size > 0 || params.map('vif').size > 0) {
        throw new CommandFailure('This server moves VMs within the pool, with their disks where they are');
      }
      const named = params.get('host') ?? params.get('host-uuid');
      if (named === undefined)
        throw new CommandFailure('Name the host to move to: host=... or host-uuid=...');
      const given = ['live', 'force', 'copy', 'compress'].flatMap((name): [string, string][] => {
        const value = params.get(name);
        return value === undefined ? [] : [[name, String(boolOf(name, value))]];
      });
      const host = await hostNamed(run, named);
      await called(run, 'VM.pool_migrate', vm, host, new Map(given));
    },
  );

type Copier = (run: CommandRun, vm: Vm, newName: string) => Promise<Vm>;

/** Names the copy, and says which it is. */
export const copied = async (run: CommandRun, vm: Vm, copy: Copier): Promise<void> => {
  const { api, params, print } = run;
  const made = await copy(run, vm, params.need('new-name-label'));
  const description = params.get('new-name-description');
  if (description !== undefined) await api.send('VM.set_name_description', made, description);
  await print.list([await api.send('VM.get_uuid', made)]);
};

export const cloneOf: Copier = ({ api }, vm, new_name) => api.call('VM.clone', vm, { new_name });

export const copyOf: Copier = async ({ api, params }, vm, new_name) => {
  const uuid = params.get('sr-uuid');
  const sr = (uuid === undefined ? '' : await api.send('SR.get_by_uuid', uuid)) as Ref<'SR'>;
  return api.call('VM.copy', vm, { new_name, sr });
};

const snapshotOf: Copier = async ({ api, params }, vm, new_name) => {
  const uuids = (params.get('ignore-vdi-uuids') ?? '').split(',').filter((one) => one !== '');
  const ignore_vdis: Ref<'VDI'>[] = [];
  for (const uuid of uuids) ignore_vdis.push(await api.send('VDI.get_by_uuid', uuid));
  return api.call('VM.snapshot', vm, { new_name, ignore_vdis });
};

const copies = (classes: readonly Listed[]): readonly Command[] => {
  const naming = { required: ['new-name-label'], optional: ['new-name-description'] };
  const copying = (name: string, doc: string, copy: Copier, more: Partial<Details> = {}): Command =>
    onVms(classes, name, doc, { ...naming, ...more }, (run, vm) => copied(run, vm, copy));
  return [
    copying('vm-clone', 'Clones VMs, with disks that share what they have in common.', cloneOf, {
      any: true,
    }),
    copying('vm-copy', 'Copies VMs with all of their disks.', copyOf, {
      any: true,
      optional: ['new-name-description', 'sr-uuid'],
    }),
    copying('vm-snapshot', 'Takes a snapshot of VMs.', snapshotOf, {
      optional: ['new-name-description', 'ignore-vdi-uuids'],
    }),
    copying('vm-checkpoint', 'Takes a snapshot of VMs with their memory.', ({ api }, vm, new_name) =>
      api.call('VM.checkpoint', vm, { new_name }),
    ),
    copying(
      'vm-snapshot-with-quiesce',
      'Takes a snapshot of VMs whose guests have written all they had to write.',
      ({ api }, vm, new_name) => api.send('VM.snapshot_with_quiesce', vm, new_name),
    ),
  ];
};

/** The template with a uuid or a name. */
const templateNamed = async ({ api }: CommandRun, text: string): Promise<ApiRow> => {
  const all = (await rowsOfClass(api, 'VM')).filter(({ record }) => record['is_a_template'] === true);
  const found = all.filter(({ record }) => record['uuid'] === text || record['name_label'] === text);
  const [only] = found;
  if (only === undefined) throw new CommandFailure(`No template is called '${text}'`);
  if (found.length > 1)
    throw new CommandFailure(`Several templates are called '${text}': name one by its uuid`);
  return only;
};

const srNamed = async ({ api, params }: CommandRun): Promise<string | undefined> => {
  const uuid = params.get('sr-uuid');
  const label = params.get('sr-name-label');
  if (uuid !== undefined) return uuid;
  if (label === undefined) return undefined;
  const found = (await rowsOfClass(api, 'SR')).filter(({ record }) => record['name_label'] === label);
  if (found.length !== 1)
    throw new CommandFailure(`Name the SR by its uuid: ${found.length} are called '${label}'`);
  return String(found[0]?.record['uuid']);
};

/** Where the disks of a template are made: each names the SR in an attribute of its own. */
const onSr = (disks: string, sr: string): string => disks.replaceAll(/\bsr="[^"]*"/g, () => `sr="${sr}"`);

const install: Command = {
  name: 'vm-install',
  doc: 'Makes a VM of a template, with the disks that the template describes.',
  required: ['new-name-label'],
  optional: ['sr-name-label', 'sr-uuid', 'template', 'copy-bios-strings-from'],
  standard: true,
  run: async (run) => {
    const { api, params, print } = run;
    const template = await templateNamed(run, params.need('template'));
    const sr = await srNamed(run);
    const vm = await api.call('VM.clone', vmOf(template), { new_name: params.need('new-name-label') });
    try {
      const disks = (template.record['other_config'] as ReadonlyMap<string, string>).get('disks');
      if (sr !== undefined && disks !== undefined) {
        await api.send('VM.remove_from_other_config', vm, 'disks');
        await api.send('VM.add_to_other_config', vm, 'disks', onSr(disks, sr));
      }
      const bios = params.get('copy-bios-strings-from');
      if (bios !== undefined)
        await api.send('VM.copy_bios_strings', vm, await api.send('host.get_by_uuid', bios));
      await api.call('VM.provision', vm, {});
    } catch (error) {
      await api.send('VM.destroy', vm).catch(() => {});
      throw error;
    }
    await print.list([await api.send('VM.get_uuid', vm)]);
  },
};

const appliance: Command = {
  ...{ name: 'appliance-shutdown', doc: 'Shuts the VMs of an appliance down, one after the other.' },
  ...{ required: ['uuid'], optional: ['force'] },
  run: async (run) => {
    const { api, params } = run;
    const self: Ref<'VM_appliance'> = await api.send('VM_appliance.get_by_uuid', params.need('uuid'));
    await api.call(isForced(run) ? 'VM_appliance.hard_shutdown' : 'VM_appliance.clean_shutdown', self, {});
  },
};

export const vmCommands = (classes: readonly Listed[]): readonly Command[] => [
  ...power(classes),
  migrate(classes),
  ...copies(classes),
  install,
  appliance,
];

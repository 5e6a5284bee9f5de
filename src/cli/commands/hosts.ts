import { nullRef, type Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { confirmed, loaded } from '../confirm.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { boolOf, sizeOf } from '../given.ts';
import { chosenRows } from '../selectors.ts';

// Hosts, their pool, its storage, and who may do what.

const hostOf = ({ api, params }: CommandRun, name: string): Promise<Ref<'host'>> =>
  api.send('host.get_by_uuid', params.need(name));

const coordinatorOf = async ({ api }: CommandRun): Promise<Ref<'host'>> => {
  const [pool] = (await api.send('pool.get_all')) as readonly string[];
  return api.send('pool.get_master', pool);
};

/** The host that `host-uuid` names, or the coordinator where it is left out. */
const hostOrCoordinator = (run: CommandRun): Promise<Ref<'host'>> =>
  run.params.get('host-uuid') === undefined ? coordinatorOf(run) : hostOf(run, 'host-uuid');

/** Values of plugins' arguments; one of a name that ends in `:file` is the content of that file. */
const pluginArgs = async (run: CommandRun): Promise<ReadonlyMap<string, string>> => {
  const args: [string, string][] = [];
  for (const [name, value] of run.params.map('args')) {
    if (name.endsWith(':file')) {
      args.push([name.slice(0, -':file'.length), (await loaded(run, value, value)).toString('utf8')]);
    } else args.push([name, value]);
  }
  return new Map(args);
};

const plugins: readonly Command[] = [
  {
    ...{ name: 'host-call-plugin', doc: 'Calls a function of a plugin of a host.' },
    ...{ required: ['host-uuid', 'plugin', 'fn'], optional: ['args:'] },
    run: async (run) => {
      const { api, params, print } = run;
      const how = { plugin: params.need('plugin'), fn: params.need('fn'), args: await pluginArgs(run) };
      await print.list([await api.call('host.call_plugin', await hostOf(run, 'host-uuid'), how)]);
    },
  },
  {
    ...{ name: 'vm-call-plugin', doc: 'Calls a function of a plugin for a VM, on the host where it runs.' },
    ...{ required: ['vm-uuid', 'plugin', 'fn'], optional: ['args:'] },
    run: async (run) => {
      const { api, params, print } = run;
      const vm = await api.send('VM.get_by_uuid', params.need('vm-uuid'));
      const args = await pluginArgs(run);
      await print.list([
        await api.send('VM.call_plugin', vm, params.need('plugin'), params.need('fn'), args),
      ]);
    },
  },
];

const nameOf = async ({ api }: CommandRun, host: Ref<'host'>): Promise<string> => {
  const { uuid, name_label } = await api.send('host.get_record', host);
  return `${uuid} (${name_label})`;
};

const leaving: readonly Command[] = [
  {
    ...{ name: 'host-forget', doc: 'Removes a host that will not come back.', required: ['uuid'] },
    run: async (run) => {
      const host = await hostOf(run, 'uuid');
      const warning = ['WARNING: A host should only be forgotten if it is physically unrecoverable;'];
      warning.push(`what only ${await nameOf(run, host)} has is lost.`);
      if (await confirmed(run, warning)) await run.api.call('host.destroy', host, {});
    },
  },
  {
    ...{ name: 'host-declare-dead', doc: 'Says that a host is off, so that its VMs may start elsewhere.' },
    required: ['uuid'],
    run: async (run) => {
      const host = await hostOf(run, 'uuid');
      const warning = [`WARNING: ${await nameOf(run, host)} must be off and stay off:`];
      warning.push('a VM that starts twice destroys its disks.');
      if (await confirmed(run, warning)) await run.api.send('host.declare_dead', host);
    },
  },
  {
    ...{ name: 'pool-eject', doc: 'Makes a host leave the pool.', required: ['host-uuid'] },
    run: async (run) => {
      const host = await hostOf(run, 'host-uuid');
      const warning = [`WARNING: ${await nameOf(run, host)} leaves the pool and is set up anew:`];
      warning.push('VMs and disks that only it has are lost.');
      if (await confirmed(run, warning)) await run.api.call('pool.eject', nullRef as Ref<'pool'>, { host });
    },
  },
  {
    ...{ name: 'pool-join', doc: 'Makes the host that is asked a member of another pool.' },
    ...{ required: ['master-address', 'master-username', 'master-password'], optional: ['force'] },
    run: async ({ api, params }) => {
      const how = ['address', 'username', 'password'].map((name) => params.need(`master-${name}`));
      await api.send(params.flag('force') ? 'pool.join_force' : 'pool.join', ...how);
    },
  },
];

const facts = (classes: readonly Listed[]): readonly Command[] => [
  {
    ...{ name: 'host-cpu-info', doc: 'Shows the processors of a host.', optional: ['uuid'] },
    run: async (run) => {
      const host =
        run.params.get('uuid') === undefined ? await coordinatorOf(run) : await hostOf(run, 'uuid');
      const info: ReadonlyMap<string, string> = await run.api.send('host.get_cpu_info', host);
      await run.print.table([[...info]]);
    },
  },
  {
    ...{ name: 'host-get-cpu-features', doc: 'Shows the features of the processors of a host.' },
    optional: ['uuid'],
    run: async (run) => {
      const host =
        run.params.get('uuid') === undefined ? await coordinatorOf(run) : await hostOf(run, 'uuid');
      const info: ReadonlyMap<string, string> = await run.api.send('host.get_cpu_info', host);
      await run.print.list([info.get('features') ?? '']);
    },
  },
  {
    ...{ name: 'pool-get-cpu-features', doc: 'Shows the features that all hosts of the pool have.' },
    run: async ({ api, print }) => {
      const [pool] = (await api.send('pool.get_all')) as readonly string[];
      const info: ReadonlyMap<string, string> = await api.send('pool.get_cpu_info', pool);
      await print.list([info.get('features_hvm') ?? info.get('features') ?? '']);
    },
  },
  {
    ...{
      name: 'host-get-vms-which-prevent-evacuation',
      doc: 'Shows which VMs keep a host from being emptied.',
    },
    required: ['uuid'],
    run: async (run) => {
      const { api, print } = run;
      const host = await hostOf(run, 'uuid');
      const vms = (await api.send('host.get_vms_which_prevent_evacuation', host)) as Map<string, string[]>;
      const record: [string, string][] = [];
      for (const [vm, why] of vms) record.push([await api.send('VM.get_uuid', vm), why.join(', ')]);
      if (record.length > 0) await print.table([record]);
    },
  },
  {
    ...{ name: 'host-set-hostname-live', doc: 'Changes the name of a host on the network.' },
    ...{ required: ['host-uuid', 'host-name'], selects: 'host' },
    run: async (run) => {
      const hostname = run.params.need('host-name');
      await run.api.call('host.set_hostname_live', await hostOf(run, 'host-uuid'), { hostname });
    },
  },
  hostPowerMode(classes),
];

const hostPowerMode = (classes: readonly Listed[]): Command => {
  const command = {
    ...{ name: 'host-set-power-on-mode', doc: 'Says how a host is switched on.' },
    ...{ required: ['power-on-mode'], optional: ['power-on-config'] },
    selects: 'host' as const,
  };
  return {
    ...command,
    run: async (run) => {
      const [row] = await chosenRows(run, { classes, command, single: true });
      const mode = run.params.need('power-on-mode');
      await run.api.send('host.set_power_on_mode', row?.ref, mode, run.params.map('power-on-config'));
    },
  };
};

const storage: readonly Command[] = [
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
      const { api, params, print } = run;
      const found = await api.call('SR.probe', nullRef as Ref<'SR'>, {
        ...{ host: await hostOrCoordinator(run), device_config: params.map('device-config') },
        ...{ type: params.need('type'), sm_config: params.map('sm-config') },
      });
      await print.list([found]);
    },
  },
];

const attachedTo = ['vm', 'host', 'sr', 'pool'] as const;
const messageClasses = { vm: 'VM', host: 'Host', sr: 'SR', pool: 'Pool' } as const;

const messages: readonly Command[] = [
  {
    ...{ name: 'message-create', doc: 'Leaves a message about an object.' },
    ...{ required: ['name', 'priority', 'body'], optional: attachedTo.map((one) => `${one}-uuid`) },
    run: async ({ api, params }) => {
      const about = attachedTo.find((one) => params.get(`${one}-uuid`) !== undefined);
      if (about === undefined)
        throw new CommandFailure('Name what it is about: vm-uuid, host-uuid, sr-uuid or pool-uuid');
      const [name, body] = [params.need('name'), params.need('body')];
      const priority = sizeOf('priority', params.need('priority'));
      await api.send(
        'message.create',
        name,
        priority,
        messageClasses[about],
        params.need(`${about}-uuid`),
        body,
      );
    },
  },
  {
    ...{ name: 'message-destroy', doc: 'Destroys messages.', optional: ['uuid', 'uuids'] },
    run: async ({ api, params }) => {
      const uuids = [params.get('uuid') ?? '', ...(params.get('uuids') ?? '').split(',')];
      const refs: string[] = [];
      for (const uuid of uuids.filter((one) => one !== ''))
        refs.push(await api.send('message.get_by_uuid', uuid));
      if (refs.length === 0) throw new CommandFailure('Name the messages: uuid=... or uuids=...,...');
      for (const ref of refs) await api.send('message.destroy', ref);
    },
  },
];

const roleOf = async ({ api, params }: CommandRun): Promise<string> => {
  const uuid = params.get('role-uuid');
  if (uuid !== undefined) return api.send('role.get_by_uuid', uuid);
  const name = params.get('role-name');
  if (name === undefined) throw new CommandFailure('Name the role: role-name=... or role-uuid=...');
  const [role] = (await api.send('role.get_by_name_label', name)) as readonly string[];
  if (role === undefined) throw new CommandFailure(`There is no role '${name}'`);
  return role;
};

const subjectRole = (name: string, doc: string, method: string): Command => ({
  ...{ name, doc, required: ['uuid'], optional: ['role-name', 'role-uuid'] },
  run: async (run) => {
    const subject = await run.api.send('subject.get_by_uuid', run.params.need('uuid'));
    await run.api.send(method, subject, await roleOf(run));
  },
});

const users: readonly Command[] = [
  {
    ...{
      name: 'subject-add',
      doc: 'Lets a user or a group of the directory in.',
      required: ['subject-name'],
    },
    run: async ({ api, params, print }) => {
      const identifier: string = await api.send('auth.get_subject_identifier', params.need('subject-name'));
      const facts = await api.send('auth.get_subject_information_from_identifier', identifier);
      const record = new Map<string, unknown>([
        ['subject_identifier', identifier],
        ['other_config', facts],
      ]);
      await print.list([await api.send('subject.get_uuid', await api.send('subject.create', record))]);
    },
  },
  subjectRole('subject-role-add', 'Gives a subject a role.', 'subject.add_to_roles'),
  subjectRole('subject-role-remove', 'Takes a role away from a subject.', 'subject.remove_from_roles'),
  {
    ...{ name: 'session-subject-identifier-logout-all', doc: 'Logs all users of directories out.' },
    run: async ({ api }) => {
      const identifiers = (await api.send('session.get_all_subject_identifiers')) as readonly string[];
      for (const one of identifiers) await api.send('session.logout_subject_identifier', one);
    },
  },
];

export const hostCommands = (classes: readonly Listed[]): readonly Command[] => [
  ...[...plugins, ...leaving, ...facts(classes), ...storage, ...messages, ...users],
];

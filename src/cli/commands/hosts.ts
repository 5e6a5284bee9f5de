import { nullRef, type Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { confirmed, loaded } from '../confirm.ts';
import { CommandFailure, Ended } from '../failures.ts';
import { faultLine } from '../fault-text.ts';
import type { Listed } from '../fields.ts';
import { floatOf, sizeOf } from '../given.ts';
import { poolRef } from '../lookup.ts';
import { chosenRows, onEach } from '../selectors.ts';

// Hosts, their pool, and who may do what.

const hostOf = ({ api, params }: CommandRun, name: string): Promise<Ref<'host'>> =>
  api.send('host.get_by_uuid', params.need(name));

export const coordinatorOf = async ({ api }: CommandRun): Promise<Ref<'host'>> =>
  api.send('pool.get_master', await poolRef(api));

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

/** `vm-call-plugin` calls `VM.call_plugin`. */
const vmPlugin = (name: string, doc: string): Command => ({
  ...{ name, doc, required: ['vm-uuid', 'plugin', 'fn'], optional: ['args:'] },
  run: async (run) => {
    const { api, params, print } = run;
    const vm = await api.send('VM.get_by_uuid', params.need('vm-uuid'));
    const call = [params.need('plugin'), params.need('fn'), await pluginArgs(run)];
    const method = `VM.${name.slice('vm-'.length).replaceAll('-', '_')}`;
    await print.list([await api.send(method, vm, ...call)]);
  },
});

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
  vmPlugin('vm-call-plugin', 'Calls a function of a plugin for a VM, on the host where it runs.'),
  vmPlugin('vm-call-host-plugin', 'Calls a function of a plugin of the host where a VM runs.'),
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
      const info: ReadonlyMap<string, string> = await api.send('pool.get_cpu_info', await poolRef(api));
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

/** What is sent to a server of the user's choice. */
const uploadOptions = ({ params }: CommandRun): readonly [string, ReadonlyMap<string, string>] => {
  const proxy = params.get('http_proxy');
  return [params.get('url') ?? '', new Map(proxy === undefined ? [] : [['http_proxy', proxy]])];
};

const uploads = (classes: readonly Listed[]): readonly Command[] => {
  const report = {
    ...{ name: 'host-bugreport-upload', doc: 'Sends a report of a host to a server.' },
    ...{ optional: ['url', 'http_proxy'], selects: 'host' as const },
  };
  return [
    {
      ...report,
      run: async (run) => {
        const rows = await chosenRows(run, { classes, command: report });
        await onEach(run, rows, ({ ref }) =>
          run.api.send('host.bugreport_upload', ref, ...uploadOptions(run)),
        );
      },
    },
    {
      ...{ name: 'host-crashdump-upload', doc: 'Sends a crash dump of a host to a server.' },
      ...{ required: ['uuid'], optional: ['url', 'http_proxy'] },
      run: async (run) => {
        const dump = await run.api.send('host_crashdump.get_by_uuid', run.params.need('uuid'));
        await run.api.send('host_crashdump.upload', dump, ...uploadOptions(run));
      },
    },
  ];
};

/** 2: the host says that it is not well; 3: it cannot say. */
const health: Command = {
  ...{ name: 'host-ha-xapi-healthcheck', doc: 'Says whether this host is well.', hidden: true, local: true },
  run: async ({ api, client }) => {
    const isWell = await api.send('host.ha_xapi_healthcheck').catch(async (error: unknown) => {
      const text = await faultLine(error, api);
      await client.tell({ kind: 'print-error', text: `host.ha_xapi_healthcheck failed: ${text}\n` });
      throw new Ended(3);
    });
    if (isWell === true) return client.tell({ kind: 'print', text: 'xapi is healthy.' });
    await client.tell({ kind: 'print-error', text: 'host.ha_xapi_healthcheck says no\n' });
    throw new Ended(2);
  },
};

const limits: readonly Command[] = [
  {
    ...{ name: 'rate-limit-create', doc: 'Makes a limit of how much callers may ask for.' },
    required: ['burst-size', 'fill-rate'],
    optional: ['name-label', 'name-description', 'caller-uuids'],
    run: async ({ api, params, print }) => {
      const record = new Map<string, unknown>([
        ['name_label', params.get('name-label') ?? ''],
        ['name_description', params.get('name-description') ?? ''],
        ['burst_size', floatOf('burst-size', params.need('burst-size'))],
        ['fill_rate', floatOf('fill-rate', params.need('fill-rate'))],
      ]);
      const uuids = (params.get('caller-uuids') ?? '').split(',').filter((one) => one.trim() !== '');
      const limited: string[] = [];
      for (const uuid of uuids) limited.push(await api.send('Caller.get_by_uuid', uuid.trim()));
      const limit = await api.send('Rate_limit.create', record);
      for (const caller of limited) await api.send('Rate_limit.add_caller', limit, caller);
      await print.list([await api.send('Rate_limit.get_uuid', limit)]);
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
  {
    ...{ name: 'message-destroy-all', doc: 'Destroys all messages, or those of a time or a priority.' },
    optional: ['before', 'after', 'priority'],
    run: async ({ api, params }) => {
      const given = ['before', 'after', 'priority'].flatMap((name): [string, string][] => {
        const value = params.get(name);
        return value === undefined ? [] : [[name, value]];
      });
      await api.send('message.destroy_all', new Map(given));
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
  ...[...plugins, ...leaving, ...facts(classes), ...uploads(classes), health, ...limits],
  ...[...messages, ...users],
];

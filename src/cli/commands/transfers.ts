import type { Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { srOrDefault } from '../lookup.ts';
import { chosenRows } from '../selectors.ts';
import { transferred } from '../transfers.ts';

// Commands that move files between the client and a door of the server.

const vdiQuery = async ({ api, params }: CommandRun): Promise<Record<string, string>> => ({
  vdi: await api.send('VDI.get_by_uuid', params.need('uuid')),
  format: params.get('format') ?? 'raw',
});

const disks: readonly Command[] = [
  {
    ...{ name: 'vdi-export', doc: 'Writes a disk to a file, as raw, vhd, qcow2 or tar.' },
    ...{ required: ['uuid', 'filename'], optional: ['format', 'base', 'progress'] },
    run: async (run) => {
      const base = run.params.get('base');
      const query = await vdiQuery(run);
      if (base !== undefined) query['base'] = await run.api.send('VDI.get_by_uuid', base);
      const file = run.params.need('filename');
      await transferred(run, 'Exporting a disk', { kind: 'get', file, path: '/export_raw_vdi', query });
    },
  },
  {
    ...{ name: 'vdi-import', doc: 'Writes a file to a disk.' },
    ...{ required: ['uuid', 'filename'], optional: ['format', 'progress'] },
    run: async (run) => {
      const query = await vdiQuery(run);
      const file = run.params.need('filename');
      await transferred(run, 'Importing a disk', { kind: 'put', file, path: '/import_raw_vdi', query });
    },
  },
];

/** Of `compress`: the older spelling is a truth, the newer a name. */
const compressionOf = (text: string | undefined): string =>
  text === undefined || text === 'false' ? '' : text;

const exportVm = async (run: CommandRun, vm: Ref<'VM'>): Promise<void> => {
  const { api, params, client } = run;
  const uuid: string = await api.send('VM.get_uuid', vm);
  const isMetadata = params.flag('metadata');
  const snapshots = params.get('include-snapshots');
  const query = {
    uuid,
    ...(isMetadata
      ? {
          ...(snapshots !== undefined && { export_snapshots: String(params.flag('include-snapshots')) }),
          excluded_device_types: params.get('excluded-device-types') ?? '',
        }
      : {
          use_compression: compressionOf(params.get('compress')),
          preserve_power_state: String(params.flag('preserve-power-state')),
        }),
  };
  const path = isMetadata ? '/export_metadata' : '/export';
  await transferred(run, `Export of ${uuid}`, { kind: 'get', file: params.need('filename'), path, query });
  await client.tell({ kind: 'print', text: 'Export succeeded' });
};

const exportOptions = ['compress', 'metadata', 'excluded-device-types'];

const exportNamed = (
  name: string,
  doc: string,
  param: string,
  field: 'is_a_snapshot' | 'is_a_template',
  optional: readonly string[],
): Command => ({
  ...{ name, doc, required: ['filename', param], optional, standard: true },
  run: async (run) => {
    const vm: Ref<'VM'> = await run.api.send('VM.get_by_uuid', run.params.need(param));
    if (!(await run.api.send(`VM.get_${field}`, vm)))
      throw new CommandFailure(`VM ${run.params.need(param)} is not a ${field.slice('is_a_'.length)}`);
    await exportVm(run, vm);
  },
});

const vmExport = (classes: readonly Listed[]): Command => {
  const command = {
    ...{ name: 'vm-export', doc: 'Writes a VM with its disks to a file.', required: ['filename'] },
    optional: ['preserve-power-state', 'include-snapshots', ...exportOptions],
    selects: 'vm' as const,
    standard: true as const,
  };
  return {
    ...command,
    run: async (run) => {
      const [row] = await chosenRows(run, { classes, command, single: true });
      await exportVm(run, row?.ref as Ref<'VM'>);
    },
  };
};

/** VMs that the host fetches itself. */
const importUrl = async (run: CommandRun, text: string): Promise<readonly string[]> => {
  const { api, params } = run;
  if (params.get('filename') !== undefined || params.flag('metadata'))
    throw new CommandFailure('Give either url or filename; metadata comes as a file');
  if (!URL.canParse(text)) throw new CommandFailure(`${text} is no URL`);
  const url = new URL(text);
  url.username = params.get('host-username') ?? url.username;
  url.password = params.get('host-password') ?? url.password;
  const sr = await srOrDefault(api, params.get('sr-uuid'));
  return api.send('VM.import', url.href, sr, params.flag('preserve'), params.flag('force'));
};

const importFile = async (run: CommandRun): Promise<readonly string[]> => {
  const { params } = run;
  const isMetadata = params.flag('metadata');
  const renamed = [...params.map('vdi')].map(([old, name]) => [`vdi:${old}`, name]);
  if (!isMetadata && (params.flag('dry-run') || renamed.length > 0))
    throw new CommandFailure('dry-run and vdi: are of metadata: add metadata=true');
  const query = {
    ...(isMetadata && { dry_run: String(params.flag('dry-run')), ...Object.fromEntries(renamed) }),
    restore: String(params.flag('preserve')),
    force: String(params.flag('force')),
    ...(params.get('sr-uuid') !== undefined && { sr_uuid: params.need('sr-uuid') }),
  };
  const path = isMetadata ? '/import_metadata' : '/import';
  const how = { kind: 'put', file: params.need('filename'), path, query } as const;
  return (await transferred(run, 'VM import', how)).match(/OpaqueRef:[\w-]+/g) ?? [];
};

const vmImport: Command = {
  ...{
    name: 'vm-import',
    doc: 'Makes VMs with their disks of a file, or of what a URL gives.',
    standard: true,
  },
  optional: [
    ...['filename', 'preserve', 'sr-uuid', 'force', 'host-username', 'host-password'],
    ...['type', 'remote-config', 'dry-run', 'metadata', 'url', 'vdi:'],
  ],
  run: async (run) => {
    const { api, params, client } = run;
    const url = params.get('url');
    const type = params.get('type') ?? 'default';
    if (type !== 'default') {
      const who = [params.need('host-username'), params.need('host-password')];
      const sr = await srOrDefault(api, params.get('sr-uuid'));
      await api.send('VM.import_convert', type, ...who, sr, params.map('remote-config'));
      return;
    }
    const vms = url === undefined ? await importFile(run) : await importUrl(run, url);
    const uuids: string[] = [];
    for (const vm of vms) uuids.push(await api.send('VM.get_uuid', vm));
    if (uuids.length > 0) await client.tell({ kind: 'print', text: uuids.join(',') });
  },
};

export const transferCommands = (classes: readonly Listed[]): readonly Command[] => [
  ...disks,
  vmExport(classes),
  exportNamed(
    'snapshot-export-to-template',
    'Writes a snapshot with its disks to a file.',
    'snapshot-uuid',
    'is_a_snapshot',
    ['preserve-power-state', ...exportOptions],
  ),
  exportNamed(
    'template-export',
    'Writes a template with its disks to a file.',
    'template-uuid',
    'is_a_template',
    exportOptions,
  ),
  vmImport,
];

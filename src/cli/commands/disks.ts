import { nullRef, type Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { recordsOf, shownFields } from '../generic.ts';
import { boolOf, sizeOf } from '../given.ts';
import { type ApiRecord, type ApiRow, rowsOfClass, srOrDefault } from '../lookup.ts';
import { showOf } from '../rows.ts';
import { chosenRows, onEach } from '../selectors.ts';

// Disks, CDs and network interfaces of VMs, and what is done to disks by themselves.

type Drive = ApiRow & { readonly record: ApiRecord & { readonly VDI: Ref<'VDI'> } };

const drivesOf = async ({ api }: CommandRun, vm: ApiRow, type: 'Disk' | 'CD'): Promise<readonly Drive[]> => {
  const drives: Drive[] = [];
  for (const ref of vm.record['VBDs'] as readonly string[]) {
    const record = await api.send('VBD.get_record', ref);
    if (record.type === type) drives.push({ ref, record });
  }
  return drives.toSorted((a, b) => Number(a.record['userdevice']) - Number(b.record['userdevice']));
};

/** The fields that a parameter asks for; `none` is none at all. */
const printFields = async (
  run: CommandRun,
  of: Listed,
  row: ApiRow,
  wanted: string,
  title: string,
): Promise<void> => {
  if (wanted === 'none') return;
  const fields = shownFields(of, wanted);
  await run.print.message(title);
  await run.print.table(
    await recordsOf([row], fields, { show: showOf(of, run), clock: run.clock, all: false }),
  );
};

const named = (classes: readonly Listed[], name: string): Listed =>
  classes.find((one) => one.name === name) as Listed;

const shown = { vbd: 'uuid,vm-name-label,userdevice', vdi: 'uuid,name-label,sr-name-label,virtual-size' };

/** Shows the drives of VMs with what is in them. */
export const printDrives = async (
  run: CommandRun,
  classes: readonly Listed[],
  vm: ApiRow,
  type: 'Disk' | 'CD',
): Promise<void> => {
  const { api, params } = run;
  for (const [i, drive] of (await drivesOf(run, vm, type)).entries()) {
    const vbd = params.get('vbd-params') ?? shown.vbd;
    await printFields(run, named(classes, 'vbd'), drive, vbd, `${type} ${i} VBD:`);
    if (drive.record.VDI === nullRef) continue;
    const row = { ref: drive.record.VDI, record: await api.send('VDI.get_record', drive.record.VDI) };
    const vdi = params.get('vdi-params') ?? shown.vdi;
    await printFields(run, named(classes, 'vdi'), row, vdi, `${type} ${i} VDI:`);
  }
};

const onVms = (
  classes: readonly Listed[],
  details: Omit<Command, 'run'> & { readonly single?: true },
  act: (run: CommandRun, vm: ApiRow) => Promise<void>,
): Command => {
  const { single, ...rest } = details;
  const command = { ...rest, selects: 'vm', standard: true } as const;
  return {
    ...command,
    run: async (run) => {
      const rows = await chosenRows(run, { classes, command, ...(single && { single }) });
      await onEach(run, rows, (row) => act(run, row));
    },
  };
};

const deviceOf = (drives: readonly Drive[], device: string): Drive => {
  const found = drives.find(({ record }) => record['userdevice'] === device || record['device'] === device);
  if (found === undefined) throw new CommandFailure(`The VM has no disk at the device ${device}`);
  return found;
};

const vbdRecord = (fields: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown> =>
  new Map(
    Object.entries({
      ...{ bootable: false, mode: 'RW', type: 'Disk', unpluggable: true, empty: false },
      ...{ other_config: new Map(), qos_algorithm_type: '', qos_algorithm_params: new Map(), ...fields },
    }),
  );

/** A new drive, plugged where the VM runs. */
const addDrive = async ({ api }: CommandRun, vm: ApiRow, fields: Readonly<Record<string, unknown>>) => {
  const vbd: string = await api.send('VBD.create', vbdRecord({ VM: vm.ref, ...fields }));
  try {
    if (vm.record['power_state'] === 'Running') await api.send('VBD.plug', vbd);
  } catch (error) {
    await api.send('VBD.destroy', vbd).catch(() => {});
    throw error;
  }
};

const diskAdd = async (run: CommandRun, vm: ApiRow): Promise<void> => {
  const { api, params } = run;
  const sr = await srOrDefault(api, params.get('sr-uuid'));
  const vdi = new Map<string, unknown>([
    ...Object.entries({ name_label: 'Created by xe', name_description: '', SR: sr, type: 'user' }),
    ...Object.entries({ sharable: false, read_only: false, other_config: new Map() }),
    ['virtual_size', sizeOf('disk-size', params.need('disk-size'))],
  ]);
  const disk: string = await api.send('VDI.create', vdi);
  try {
    await addDrive(run, vm, { VDI: disk, userdevice: params.need('device') });
  } catch (error) {
    await api.send('VDI.destroy', disk).catch(() => {});
    throw error;
  }
};

const diskRemove = async (run: CommandRun, vm: ApiRow): Promise<void> => {
  const { api, params } = run;
  const { ref, record } = deviceOf(await drivesOf(run, vm, 'Disk'), params.need('device'));
  await api.send('VBD.destroy', ref);
  await api.send('VDI.destroy', record.VDI);
};

/** The disk on a library of CDs with that name. */
const cdNamed = async ({ api }: CommandRun, text: string): Promise<string> => {
  const isos = (await rowsOfClass(api, 'SR')).filter(({ record }) => record['content_type'] === 'iso');
  const srs = new Set(isos.map(({ ref }) => ref));
  const cds = (await rowsOfClass(api, 'VDI')).filter(
    ({ record }) => srs.has(String(record['SR'])) && record['name_label'] === text,
  );
  if (cds.length > 1) throw new CommandFailure(`Several CDs are called '${text}'`);
  const [only] = cds;
  if (only === undefined) throw new CommandFailure(`No CD is called '${text}'`);
  return only.ref;
};

const onlyCdOf = async (run: CommandRun, vm: ApiRow): Promise<Drive> => {
  const drives = await drivesOf(run, vm, 'CD');
  const [only] = drives;
  if (only === undefined) throw new CommandFailure('The VM has no CD drive');
  if (drives.length > 1)
    throw new CommandFailure('The VM has several CD drives: use vbd-insert and vbd-eject');
  return only;
};

const cds = (classes: readonly Listed[]): readonly Command[] => [
  onVms(
    classes,
    { name: 'vm-cd-add', doc: 'Gives VMs a CD drive with a CD in it.', required: ['cd-name', 'device'] },
    async (run, vm) => {
      const VDI = await cdNamed(run, run.params.need('cd-name'));
      await addDrive(run, vm, { VDI, userdevice: run.params.need('device'), type: 'CD', mode: 'RO' });
    },
  ),
  onVms(
    classes,
    { name: 'vm-cd-insert', doc: 'Puts a CD into the drive of VMs.', required: ['cd-name'] },
    async (run, vm) => {
      const vdi = await cdNamed(run, run.params.need('cd-name'));
      await run.api.send('VBD.insert', (await onlyCdOf(run, vm)).ref, vdi);
    },
  ),
  onVms(classes, { name: 'vm-cd-eject', doc: 'Takes the CD out of the drive of VMs.' }, async (run, vm) => {
    await run.api.send('VBD.eject', (await onlyCdOf(run, vm)).ref);
  }),
  onVms(
    classes,
    { name: 'vm-cd-remove', doc: 'Takes the CD drive with a CD away from VMs.', required: ['cd-name'] },
    async (run, vm) => {
      const vdi = await cdNamed(run, run.params.need('cd-name'));
      const drive = (await drivesOf(run, vm, 'CD')).find(({ record }) => record.VDI === vdi);
      if (drive === undefined) throw new CommandFailure('The VM has no drive with this CD');
      await run.api.send('VBD.destroy', drive.ref);
    },
  ),
  {
    ...{ name: 'cd-list', doc: 'Lists the CDs of all libraries.', optional: ['params'], standard: true },
    run: async (run) => {
      const isos = (await rowsOfClass(run.api, 'SR')).filter(
        ({ record }) => record['content_type'] === 'iso',
      );
      const srs = new Set(isos.map(({ ref }) => ref));
      const rows = (await rowsOfClass(run.api, 'VDI')).filter(({ record }) => srs.has(String(record['SR'])));
      const of = named(classes, 'vdi');
      const fields = shownFields(of, run.params.get('params') ?? 'uuid,name-label');
      await run.print.table(
        await recordsOf(rows, fields, { show: showOf(of, run), clock: run.clock, all: false }),
      );
    },
  },
];

const lists = (classes: readonly Listed[]): readonly Command[] => {
  const optional = ['vbd-params', 'vdi-params'];
  return [
    onVms(classes, { name: 'vm-disk-list', doc: 'Shows the disks of VMs.', optional }, (run, vm) =>
      printDrives(run, classes, vm, 'Disk'),
    ),
    onVms(classes, { name: 'vm-cd-list', doc: 'Shows the CD drives of VMs.', optional }, (run, vm) =>
      printDrives(run, classes, vm, 'CD'),
    ),
    onVms(classes, { name: 'vm-vif-list', doc: 'Shows the network interfaces of VMs.' }, async (run, vm) => {
      const of = named(classes, 'vif');
      const rows = (await rowsOfClass(run.api, 'VIF')).filter(({ record }) => record['VM'] === vm.ref);
      const fields = shownFields(of, 'uuid,device,vm-name-label,MAC,network-uuid,network-name-label');
      await run.print.table(
        await recordsOf(rows, fields, { show: showOf(of, run), clock: run.clock, all: false }),
      );
    }),
  ];
};

const vdis: readonly Command[] = [
  {
    ...{ name: 'vdi-resize', doc: 'Makes a disk larger.' },
    ...{ required: ['uuid', 'disk-size'], optional: ['online'] },
    run: async ({ api, params }) => {
      const vdi: Ref<'VDI'> = await api.send('VDI.get_by_uuid', params.need('uuid'));
      const size = sizeOf('disk-size', params.need('disk-size'));
      await api.call(params.flag('online') ? 'VDI.resize_online' : 'VDI.resize', vdi, { size });
    },
  },
  {
    ...{ name: 'vdi-clone', doc: 'Clones a disk.', required: ['uuid'] },
    optional: ['driver-params-', 'new-name-label', 'new-name-description'],
    run: async ({ api, params, print }) => {
      const vdi: Ref<'VDI'> = await api.send('VDI.get_by_uuid', params.need('uuid'));
      const made: string = await api.send('VDI.clone', vdi, new Map());
      for (const name of ['name_label', 'name_description']) {
        const value = params.get(`new-${name.replace('_', '-')}`);
        if (value !== undefined) await api.send(`VDI.set_${name}`, made, value);
      }
      await print.list([await api.send('VDI.get_uuid', made)]);
    },
  },
  {
    ...{ name: 'vdi-copy', doc: 'Copies a disk, to another SR or into a disk that is there.' },
    ...{ required: ['uuid'], optional: ['sr-uuid', 'base-vdi-uuid', 'into-vdi-uuid'] },
    run: async ({ api, params, print }) => {
      const byUuid = async (cls: string, name: string): Promise<string> => {
        const uuid = params.get(name);
        return uuid === undefined ? nullRef : api.send(`${cls}.get_by_uuid`, uuid);
      };
      const made = await api.send(
        'VDI.copy',
        await byUuid('VDI', 'uuid'),
        await byUuid('SR', 'sr-uuid'),
        await byUuid('VDI', 'base-vdi-uuid'),
        await byUuid('VDI', 'into-vdi-uuid'),
      );
      await print.list([await api.send('VDI.get_uuid', made)]);
    },
  },
  {
    ...{ name: 'vdi-pool-migrate', doc: 'Moves a disk to another SR while its VM runs.' },
    ...{ required: ['uuid', 'sr-uuid'], optional: ['dest-img-format'] },
    run: async ({ api, params, print }) => {
      const vdi: Ref<'VDI'> = await api.send('VDI.get_by_uuid', params.need('uuid'));
      const sr: Ref<'SR'> = await api.send('SR.get_by_uuid', params.need('sr-uuid'));
      const format = params.get('dest-img-format');
      const options = new Map(format === undefined ? [] : [['dest_img_format', format] as const]);
      const moved = await api.call('VDI.pool_migrate', vdi, { sr, options });
      await print.list([await api.send('VDI.get_uuid', moved)]);
    },
  },
  {
    ...{ name: 'vbd-create', doc: 'Gives a VM a drive.', required: ['vm-uuid', 'device'] },
    optional: ['vdi-uuid', 'bootable', 'type', 'mode', 'unpluggable'],
    run: async ({ api, params, print }) => {
      const uuid = params.get('vdi-uuid');
      const flag = (name: string, otherwise: boolean): boolean => {
        const value = params.get(name);
        return value === undefined ? otherwise : boolOf(name, value);
      };
      const type = params.get('type') ?? 'Disk';
      const made = await api.send(
        'VBD.create',
        vbdRecord({
          VM: await api.send('VM.get_by_uuid', params.need('vm-uuid')),
          VDI: uuid === undefined ? nullRef : await api.send('VDI.get_by_uuid', uuid),
          userdevice: params.need('device'),
          bootable: flag('bootable', false),
          mode: params.get('mode') ?? 'RW',
          type,
          unpluggable: flag('unpluggable', true),
          empty: uuid === undefined,
        }),
      );
      await print.list([await api.send('VBD.get_uuid', made)]);
    },
  },
  {
    ...{ name: 'vbd-unplug', doc: 'Takes a drive out of a running VM.' },
    ...{ required: ['uuid'], optional: ['timeout', 'force'] },
    run: async ({ api, params }) => {
      const vbd: Ref<'VBD'> = await api.send('VBD.get_by_uuid', params.need('uuid'));
      await api.send(params.flag('force') ? 'VBD.unplug_force' : 'VBD.unplug', vbd);
    },
  },
  {
    ...{ name: 'vif-create', doc: 'Gives a VM a network interface.' },
    ...{ required: ['device', 'network-uuid', 'vm-uuid'], optional: ['mac'] },
    run: async ({ api, params, print }) => {
      const mac = params.get('mac') ?? '';
      const fields = {
        ...{ device: params.need('device'), MAC: mac === 'random' ? '' : mac, MTU: 1500n },
        ...{ other_config: new Map(), qos_algorithm_type: '', qos_algorithm_params: new Map() },
        network: await api.send('network.get_by_uuid', params.need('network-uuid')),
        VM: await api.send('VM.get_by_uuid', params.need('vm-uuid')),
      };
      const made = await api.send('VIF.create', new Map(Object.entries(fields)));
      await print.list([await api.send('VIF.get_uuid', made)]);
    },
  },
  {
    ...{ name: 'vif-unplug', doc: 'Takes a network interface out of a running VM.' },
    ...{ required: ['uuid'], optional: ['force'] },
    run: async ({ api, params }) => {
      const vif: Ref<'VIF'> = await api.send('VIF.get_by_uuid', params.need('uuid'));
      await api.send(params.flag('force') ? 'VIF.unplug_force' : 'VIF.unplug', vif);
    },
  },
];

export const diskCommands = (classes: readonly Listed[]): readonly Command[] => [
  ...lists(classes),
  ...cds(classes),
  onVms(
    classes,
    {
      ...{ name: 'vm-disk-add', doc: 'Gives a VM a new disk.', single: true },
      ...{ required: ['disk-size', 'device'], optional: ['sr-uuid'] },
    },
    diskAdd,
  ),
  onVms(
    classes,
    { name: 'vm-disk-remove', doc: 'Destroys a disk of VMs.', required: ['device'] },
    diskRemove,
  ),
  ...vdis,
];

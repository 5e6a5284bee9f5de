import type { Ref } from '../../model/types.ts';
import type { Command, CommandRun } from '../command.ts';
import { assertForced, confirmed } from '../confirm.ts';
import { CommandFailure, ParameterFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import type { ApiRecord } from '../lookup.ts';
import { chosenRows } from '../selectors.ts';
import { printDrives } from './disks.ts';
import { cloneOf, copied, copyOf } from './vms.ts';

// Snapshots and templates, and VMs that go with all of their disks.

type Vm = Ref<'VM'>;

/** The one that `snapshot-uuid`, or the older `uuid`, names. */
const snapshotNamed = async ({ api, params }: CommandRun): Promise<Vm> => {
  const uuid = params.get('snapshot-uuid') ?? params.get('uuid');
  if (uuid === undefined) throw new ParameterFailure('snapshot-uuid');
  const vm: Vm = await api.send('VM.get_by_uuid', uuid);
  if (!(await api.send('VM.get_is_a_snapshot', vm))) throw new CommandFailure(`VM ${uuid} is not a snapshot`);
  return vm;
};

const names = ['uuid', 'snapshot-uuid'];

const onSnapshot = (
  name: string,
  doc: string,
  act: (run: CommandRun, vm: Vm) => Promise<void>,
  more: Partial<Command> = { standard: true },
): Command => ({
  ...{ name, doc, optional: names },
  ...more,
  run: async (run) => act(run, await snapshotNamed(run)),
});

const isRunning = (record: ApiRecord): boolean => record['power_state'] !== 'Halted';

/** What goes with a VM: its disks, and those that it was suspended to, but none that others use. */
const disksOf = async ({ api }: CommandRun, vm: Vm): Promise<readonly Ref<'VDI'>[]> => {
  const vdis: Ref<'VDI'>[] = [];
  for (const vbd of (await api.send('VM.get_VBDs', vm)) as readonly string[]) {
    const { type, VDI, empty } = await api.send('VBD.get_record', vbd);
    if (type !== 'Disk' || empty) continue;
    const { sharable, VBDs } = await api.send('VDI.get_record', VDI);
    if (!sharable && VBDs.length === 1) vdis.push(VDI);
  }
  return vdis;
};

/** Destroys VMs with their disks, once the user has seen which. */
const uninstall = async (run: CommandRun, vms: readonly Vm[]): Promise<void> => {
  const { api, client } = run;
  const going: { readonly vm: Vm; readonly record: ApiRecord; readonly vdis: readonly Ref<'VDI'>[] }[] = [];
  const warning = ['The following items are about to be destroyed'];
  for (const vm of vms) {
    const record = await api.send('VM.get_record', vm);
    const vdis = await disksOf(run, vm);
    warning.push(`VM : ${record['uuid']} (${record['name_label']})`);
    for (const vdi of vdis) {
      const { uuid, name_label } = await api.send('VDI.get_record', vdi);
      warning.push(`VDI: ${uuid} (${name_label})`);
    }
    going.push({ vm, record, vdis });
  }
  if (!(await confirmed(run, warning))) return;
  for (const { vm, record, vdis } of going) {
    if (isRunning(record)) await api.call('VM.hard_shutdown', vm, {});
    await api.send('VM.destroy', vm);
    for (const vdi of vdis) await api.send('VDI.destroy', vdi);
  }
  await client.tell({ kind: 'print', text: 'All objects destroyed' });
};

const naming = { required: ['new-name-label'], optional: ['uuid', 'new-name-description'] };

const copying = (name: string, doc: string, copy: typeof cloneOf, optional = naming.optional): Command => ({
  ...{ name, doc, required: naming.required, optional, standard: true },
  run: async (run) => copied(run, await snapshotNamed(run), copy),
});

const vmUninstall = (classes: readonly Listed[]): Command => {
  const command = {
    ...{ name: 'vm-uninstall', doc: 'Destroys VMs with their disks.', optional: ['force'] },
    selects: 'vm' as const,
    standard: true as const,
  };
  return {
    ...command,
    run: async (run) => {
      const rows = await chosenRows(run, { classes, command });
      await uninstall(
        run,
        rows.map(({ ref }) => ref as Vm),
      );
    },
  };
};

const resetPowerState = onSnapshot(
  'snapshot-reset-powerstate',
  'Says that a snapshot runs nowhere.',
  (run, vm) => {
    assertForced(run);
    return run.api.call('VM.power_state_reset', vm, {});
  },
  { optional: [...names, 'force'], selects: 'vm', standard: true },
);

export const snapshotCommands = (classes: readonly Listed[]): readonly Command[] => [
  vmUninstall(classes),
  resetPowerState,
  onSnapshot(
    'snapshot-disk-list',
    'Shows the disks of a snapshot.',
    async (run, vm) =>
      printDrives(run, classes, { ref: vm, record: await run.api.send('VM.get_record', vm) }, 'Disk'),
    { optional: [...names, 'vbd-params', 'vdi-params'], selects: 'vm', standard: true },
  ),
  copying('snapshot-clone', 'Makes a VM or a template of a snapshot, with disks that share data.', cloneOf),
  copying('snapshot-copy', 'Makes a VM or a template of a snapshot, with disks of its own.', copyOf, [
    ...naming.optional,
    'sr-uuid',
  ]),
  onSnapshot('snapshot-revert', 'Puts a VM back to a snapshot of it.', ({ api }, vm) =>
    api.call('VM.revert', vm, {}),
  ),
  onSnapshot(
    'snapshot-destroy',
    'Destroys a snapshot, but not its disks.',
    async ({ api }, vm) => {
      if (isRunning(await api.send('VM.get_record', vm))) await api.call('VM.hard_shutdown', vm, {});
      await api.send('VM.destroy', vm);
    },
    {},
  ),
  onSnapshot('snapshot-uninstall', 'Destroys a snapshot with its disks.', (run, vm) => uninstall(run, [vm]), {
    optional: [...names, 'force'],
    standard: true,
  }),
  {
    ...{ name: 'template-uninstall', doc: 'Destroys a template with its disks.', standard: true },
    ...{ required: ['template-uuid'], optional: ['force'] },
    run: async (run) => {
      const uuid = run.params.need('template-uuid');
      const vm: Vm = await run.api.send('VM.get_by_uuid', uuid);
      if (!(await run.api.send('VM.get_is_a_template', vm)))
        throw new CommandFailure(`VM ${uuid} is not a template`);
      await uninstall(run, [vm]);
    },
  },
];

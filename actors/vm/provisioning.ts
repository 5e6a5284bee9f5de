import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { construct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { noteMade, strike } from '../../src/rules/leftovers.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import type { VmHandlers } from './handlers.ts';
import { type ProvisionDisk, readProvisionDisks } from './provision-disks.ts';

const repositoryOf = (view: View, { sr }: ProvisionDisk): Ref<'SR'> => {
  const [pool] = view.all('pool');
  const found = sr === '' ? pool?.[1].default_SR : view.byUuid('SR', sr);
  if (found !== undefined && view.get('SR', found) !== undefined) return found;
  throw sr === '' ? new Fault('DEFAULT_SR_NOT_FOUND', [found ?? '']) : new Fault('UUID_INVALID', ['SR', sr]);
};

const makeDisk = async (working: Working<'VM'>, disk: ProvisionDisk): Promise<Ref<'VDI'>> => {
  const vdi = await construct({ call: working.making(working.self) }, 'VDI', {
    name_label: `${working.record.name_label} ${disk.device}`,
    name_description: 'Created by template provisioner',
    SR: repositoryOf(working.view, disk),
    virtual_size: disk.sizeBytes,
    type: disk.type,
    sharable: false,
    read_only: false,
    other_config: new Map(),
    sm_config: new Map(),
  });
  await noteMade(working, working.self, vdi);
  return vdi;
};

const addDrive = (tx: Tx, working: Working<'VM'>, disk: ProvisionDisk, vdi: Ref<'VDI'>): void =>
  tx.create('VBD', newRef<'VBD'>(working.services), {
    uuid: working.services.random.uuid(),
    VM: working.self,
    VDI: vdi,
    userdevice: disk.device,
    bootable: disk.bootable,
    mode: 'RW',
    type: 'Disk',
    empty: false,
    // Whoever deletes the VM deletes disks that are marked so with it.
    other_config: new Map([['owner', '']]),
  });

/** Makes the disks that the template asks for, once, and a VM of it that can be started. */
const provision = async (working: Working<'VM'>): Promise<void> => {
  const { self, services } = working;
  const wanted = readProvisionDisks(working.record.other_config.get('disks') ?? '<provision/>');
  const made: (readonly [ProvisionDisk, Ref<'VDI'>])[] = [];
  for (const disk of wanted) {
    working.signal.throwIfAborted();
    made.push([disk, await makeDisk(working, disk)]);
    working.progress((0.9 * made.length) / wanted.length);
  }
  working.settle((tx) => {
    const { other_config, metrics } = tx.require('VM', self);
    for (const [disk, vdi] of made) addDrive(tx, working, disk, vdi);
    strike(
      tx,
      self,
      made.map(([, vdi]) => vdi),
    );
    const config = new Map([...other_config].filter(([key]) => key !== 'disks'));
    tx.patch('VM', self, { other_config: config, is_a_template: false });
    if (tx.get('VM_metrics', metrics) !== undefined) {
      tx.patch('VM_metrics', metrics, { install_time: dateTimeOf(services.clock.now()) });
    }
  });
};

export const provisioning = { provision: { operation: 'provision', work: provision } } satisfies VmHandlers;

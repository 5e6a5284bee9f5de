import type { RecordNamed } from '../../src/model/class.ts';
import { bytesMaxOf } from '../../src/model/sizes.ts';
import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { recordText } from '../../src/rules/fates/record-text.ts';
import { type VmMade, vmFates } from '../../src/rules/fates/vm.ts';
import { asked } from '../../src/rules/hypervisor-work.ts';
import { strike } from '../../src/rules/leftovers.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { VM } from './class.ts';
import { allOf, type CopyDisk, copyDisks, type NewDisks } from './copied-disks.ts';
import { copyDevices, copyMetrics } from './copied-rows.ts';
import { freshGenerationId } from './creating.ts';
import type { VmHandlers } from './handlers.ts';
import { keep, keeps } from './kept.ts';

// Clones, copies and snapshots are one thing: new disks, then new rows in one commit.

type Vm = Working<'VM'>;
type VmRow = RecordNamed<'VM'>;
type Origin = 'clone' | 'copy' | 'snapshot' | 'checkpoint';

/** Notes that say that a VM came with the installation, which no copy of it did. */
const notCopied: readonly string[] = ['default_template', 'xensource_internal'];

const configOf = (
  { other_config, is_a_template, name_label }: VmRow,
  seed?: string,
): VmRow['other_config'] => {
  const config = new Map([...other_config].filter(([key]) => !notCopied.includes(key)));
  if (is_a_template && !config.has('base_template_name')) config.set('base_template_name', name_label);
  return seed === undefined ? config : config.set('mac_seed', seed);
};

/** A VM too large for it has snapshots all the same: a revert then makes do with what their own row says. */
const metadataOf = (vm: VmRow): string => {
  const text = recordText(VM, vm);
  return Buffer.byteLength(text) > bytesMaxOf(VM.fields.snapshot_metadata.type) ? '' : text;
};

interface RowWish {
  readonly services: Services;
  readonly origin: Origin;
  readonly self: Ref<'VM'>;
  readonly name: string;
  readonly disks: NewDisks;
  /** The VM as it was when its memory was saved, if that is not how it is now. */
  readonly asleep?: VmRow;
  /** What the VM did before that. */
  readonly powerState?: VmRow['power_state'];
}

const isTaken = (origin: Origin): boolean => origin === 'snapshot' || origin === 'checkpoint';

const madeFields = (tx: Tx, wish: RowWish): VmMade<Origin> => {
  const { services, origin, self, name, disks } = wish;
  const vm = wish.asleep ?? tx.require('VM', self);
  return {
    ...copyMetrics(tx, services, vm),
    uuid: services.random.uuid(),
    name_label: name,
    power_state: disks.image === nullRef ? 'Halted' : 'Suspended',
    suspend_VDI: disks.image,
    domid: -1n,
    is_a_template: true,
    is_a_snapshot: true,
    snapshot_of: self,
    snapshot_time: dateTimeOf(services.clock.now()),
    snapshot_info: new Map([
      ['power-state-at-snapshot', wish.powerState ?? vm.power_state],
      ['disk-snapshot-type', 'crash_consistent'],
    ]),
    snapshot_metadata: metadataOf(vm),
    other_config: configOf(vm, isTaken(origin) ? undefined : services.random.uuid()),
    generation_id: vm.generation_id === '' ? '' : freshGenerationId(services),
  };
};

/** The rows of the copy are made in the commit that settles; who it is, is known before. */
export const settleCopy = (working: Vm, wish: RowWish, leaveOut: readonly Ref<'VDI'>[] = []): Ref<'VM'> => {
  working.signal.throwIfAborted();
  const { services, origin, self, disks } = wish;
  const target = newRef<'VM'>(services);
  working.settle((tx) => {
    const vm = wish.asleep ?? tx.require('VM', self);
    tx.create('VM', target, fieldsFor('VM', vmFates, origin, vm, madeFields(tx, wish)));
    const device = isTaken(origin) ? 'snapshot' : 'clone';
    copyDevices(tx, { services, vm, target, origin: device, disks, leaveOut });
    if (isTaken(origin)) tx.patch('VM', self, { parent: target });
    strike(tx, self, allOf(disks));
  });
  return target;
};

/** A clone of a sleeping VM sleeps as well; one of a snapshot is to be started anew. */
const duplicate = async (working: Vm, origin: 'clone' | 'copy', name: string, copy: CopyDisk) => {
  const { services, self, record } = working;
  const withImage = record.power_state === 'Suspended' && !record.is_a_snapshot;
  const disks = await copyDisks(working, record, { copy, withImage });
  return settleCopy(working, { services, origin, self, name, disks });
};

/** One that does not exist is as good as none: each disk is copied to where it is. */
const repositoryOf = (view: View, sr: Ref<'SR'>): Ref<'SR'> | undefined => {
  const content = view.get('SR', sr)?.content_type;
  if (content === undefined) return undefined;
  if (content !== 'iso') return sr;
  throw new Fault('OPERATION_NOT_ALLOWED', ["Cannot copy a VM's disks to an ISO SR"]);
};

/** What a guest that runs keeps in its devices is in no row yet. */
const noteKept = async ({ self, view, record, services, settle }: Vm): Promise<void> => {
  const runs = record.power_state === 'Running' || record.power_state === 'Paused';
  if (!runs || !keeps(view, self)) return;
  const kept = await asked('VM.snapshot', services.hypervisor.kept(record.uuid));
  settle((tx) => keep(tx, self, kept, services));
};

export const copying = {
  clone: {
    operation: 'clone',
    work: (working, { new_name }) =>
      duplicate(working, 'clone', new_name, (vdi) =>
        working.making(working.self)('VDI.clone', vdi, { driver_params: new Map() }),
      ),
  },
  copy: {
    operation: 'copy',
    work: async (working, { new_name, sr }) => {
      const repository = repositoryOf(working.view, sr);
      return duplicate(working, 'copy', new_name, (vdi) =>
        working.making(working.self)('VDI.copy', vdi, {
          sr: repository ?? working.view.require('VDI', vdi).SR,
          base_vdi: nullRef as Ref<'VDI'>,
          into_vdi: nullRef as Ref<'VDI'>,
        }),
      );
    },
  },
  snapshot: {
    operation: 'snapshot',
    work: async (working, { new_name, ignore_vdis }) => {
      const { services, self, record } = working;
      const take: CopyDisk = (vdi) =>
        working.making(working.self)('VDI.snapshot', vdi, { driver_params: new Map() });
      const disks = await copyDisks(working, record, { copy: take, withImage: false, leaveOut: ignore_vdis });
      await noteKept(working);
      return settleCopy(working, { services, origin: 'snapshot', self, name: new_name, disks }, ignore_vdis);
    },
  },
} satisfies VmHandlers;

import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Client, Sink } from '../../src/objects/client.ts';
import type { ActionHandler, Working } from '../../src/objects/implement.ts';
import { isLive } from '../../src/objects/places.ts';
import { reading } from '../../src/rules/disk-use.ts';
import { openDisk } from '../../src/rules/open-disk.ts';
import { drivesInUse, pbdOf } from '../../src/rules/storage-rows.ts';
import { xvaFile } from '../../src/rules/xva/file.ts';
import {
  type FieldsOf,
  type OvaObject,
  ovaDisks,
  ovaObjects,
  type XvaOrigin,
} from '../../src/rules/xva/ova.ts';
import { NoZstd, packed, packingNamed } from '../../src/rules/xva/packing.ts';
import { deviceKinds, exportedVms, type XvaWanted } from '../../src/rules/xva/reached.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Store } from '../../src/store/store.ts';
import type { View } from '../../src/store/view.ts';

// VMs as files. All that can be refused is refused before the first byte of the answer.

interface Named {
  readonly ref: string;
  readonly uuid: string;
}
interface Whole extends Named {
  readonly use_compression: string;
  readonly preserve_power_state: boolean;
}
interface Metadata extends Named {
  readonly all: boolean;
  readonly include_dom0: boolean;
  readonly include_vhd_parents: boolean;
  readonly export_snapshots: boolean;
  readonly excluded_device_types: string;
}
type Vm = Ref<'VM'>;
type Exporting = Working<'VM'>;

const vmNamed = (view: View, { ref, uuid }: Named): Vm => {
  const name = ref || uuid;
  if (name === '')
    throw new Fault('INVALID_VALUE', ['uuid', 'Name the VM: ?uuid=<uuid> or ?ref=<reference>']);
  const vm = view.get('VM', name as Vm) === undefined ? view.byUuid('VM', name) : (name as Vm);
  if (vm === undefined) throw new Fault('HANDLE_INVALID', ['VM', name]);
  return vm;
};

/** The disks of a VM that have bytes in its file. */
export const disksOf = (view: View, vm: Vm, withMemory: boolean): readonly Ref<'VDI'>[] => {
  const { VBDs, suspend_VDI, power_state } = view.require('VM', vm);
  const driven = VBDs.flatMap((ref) => view.get('VBD', ref) ?? []).filter(({ type }) => type !== 'CD');
  const memory = withMemory && power_state === 'Suspended' ? [suspend_VDI] : [];
  const isThere = (vdi: Ref<'VDI'>): boolean =>
    view.get('SR', view.get('VDI', vdi)?.SR ?? noSr)?.content_type !== 'iso' &&
    view.get('VDI', vdi) !== undefined;
  return [...new Set([...driven.map(({ VDI }) => VDI), ...memory])].filter(isThere);
};

const noSr = nullRef as Ref<'SR'>;

/** A host that reaches all the disks, the coordinator first; where none does bytes go through the mesh. */
const hostFor = (view: View, vm: Vm): Ref<'host'> => {
  const [, { master }] = view.only('pool');
  const srs = new Set(disksOf(view, vm, true).map((vdi) => view.require('VDI', vdi).SR));
  const hosts = [master, ...[...view.all('host')].map(([host]) => host)];
  const reaches = (host: Ref<'host'>): boolean =>
    isLive(view, host) && [...srs].every((sr) => pbdOf(view, sr, host) !== undefined);
  return hosts.find(reaches) ?? master;
};

export const fieldsIn =
  ({ tables }: Pick<Store, 'tables'>): FieldsOf =>
  (cls) =>
    tables.get(cls)?.schema.cls.fields ?? {};

/** By which release it was written. */
const originOf = (view: View, host: Ref<'host'>): XvaOrigin => {
  const said = view.require('host', host).software_version;
  return {
    date: said.get('date') ?? '',
    product_version: said.get('product_version') ?? '',
    product_brand: said.get('product_brand') ?? '',
    build_number: said.get('build_number') ?? '',
  };
};

export const fileOf = (
  working: Exporting,
  objects: readonly OvaObject[],
  disks: readonly OvaObject[],
  ending?: () => void,
) => {
  const { view, services, signal, progress } = working;
  const { clock, host, store } = services;
  return xvaFile({
    ...(ending !== undefined && { ending }),
    ...{ objects, progress, signal, fieldsOf: fieldsIn(store), origin: originOf(view, host) },
    now: clock.now(),
    rest: () => sleep(clock, 0),
    disks: disks.map(({ id, ref }) => {
      const vdi = ref as Ref<'VDI'>;
      return {
        id,
        sizeBytes: view.require('VDI', vdi).virtual_size,
        open: () => openDisk(services, { vdi, how: 'read', operation: 'export' }, signal),
      };
    }),
  });
};

const answered = { type: 'application/octet-stream', name: 'export.xva' } as const;

const send = async (bytes: AsyncIterable<Uint8Array>, client: Client): Promise<void> => {
  let sink: Sink | undefined;
  try {
    for await (const piece of bytes) {
      sink ??= client.answer(answered);
      await sink.write(piece);
    }
  } catch (error) {
    throw error instanceof NoZstd ? new Fault('OPERATION_NOT_ALLOWED', [error.message]) : error;
  }
};

const wholeWanted = (view: View, args: Whole): XvaWanted => ({
  vms: [vmNamed(view, args)],
  preserve: args.preserve_power_state,
  ...{ snapshots: false, without: [], parents: false },
});

const exported = (view: View, args: Metadata): readonly Vm[] =>
  args.all ? exportedVms(view, args.include_dom0) : [vmNamed(view, args)];

const metadataWanted = (view: View, args: Metadata): XvaWanted => ({
  vms: exported(view, args),
  preserve: true,
  snapshots: args.export_snapshots,
  without: knownKinds(args),
  parents: args.include_vhd_parents,
});

/** Those that admission has seen. */
const knownKinds = ({ excluded_device_types }: Metadata): XvaWanted['without'] => {
  const kinds = kindsNamed(excluded_device_types);
  if (kinds instanceof Fault) throw kinds;
  return kinds;
};

const kindsNamed = (words: string): XvaWanted['without'] | Fault => {
  const given = words.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim().toUpperCase()]));
  const kinds = deviceKinds.filter((kind) => given.includes(kind));
  if (given.every((word) => kinds.some((kind) => kind === word))) return kinds;
  return new Fault('INVALID_VALUE', [
    'excluded_device_types',
    `${words}: it can have ${deviceKinds.join(', ')}`,
  ]);
};

export const exporting = {
  get_export: {
    on: (args: Whole, view: View): Ref => hostFor(view, vmNamed(view, args)),
    holds: (args: Whole, view: View): readonly Hold[] => {
      const vm = vmNamed(view, args);
      const disks = disksOf(view, vm, args.preserve_power_state);
      // The drives of one that sleeps hold its disks, and it cannot wake meanwhile.
      const isHeld = (vdi: Ref<'VDI'>): boolean =>
        view.require('VM', vm).power_state === 'Suspended' &&
        drivesInUse(view, view.require('VDI', vdi)).every(({ VM }) => VM === vm);
      const free = disks.filter((vdi) => !isHeld(vdi));
      return [{ cls: 'VM', ref: vm, operation: 'export' }, ...free.map(reading)];
    },
    stream: async (working: Exporting, args: Whole, client: Client) => {
      const { services, signal, view } = working;
      const objects = ovaObjects(view, fieldsIn(services.store), wholeWanted(view, args));
      const file = fileOf(working, objects, ovaDisks(objects));
      const { processes } = services;
      await send(packed(packingNamed(args.use_compression), file, { processes, signal }), client);
    },
  } satisfies ActionHandler<'VM', Whole>,
  get_export_metadata: {
    // Rows are given as they are at one moment; of all VMs there may always be some that are busy.
    holds: (args: Metadata, view: View): readonly Hold[] =>
      args.all ? [] : [{ cls: 'VM', ref: vmNamed(view, args), operation: 'metadata_export' }],
    unless: (_view: View, _self: Vm, { excluded_device_types }: Metadata) => {
      const kinds = kindsNamed(excluded_device_types);
      return kinds instanceof Fault ? kinds : undefined;
    },
    stream: async (working: Exporting, args: Metadata, client: Client) => {
      const wanted = metadataWanted(working.view, args);
      const objects = ovaObjects(working.view, fieldsIn(working.services.store), wanted);
      await send(fileOf(working, objects, []), client);
    },
  } satisfies ActionHandler<'VM', Metadata>,
};

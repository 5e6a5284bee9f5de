import type { OnExit, Vm, VmBoot, XenopsMetadata } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { demand } from '../../src/objects/refusal.ts';
import { isHvm, vbdForGuest, vifForGuest, xenopsDisk } from '../../src/rules/guest-devices.ts';
import { isTrue } from '../../src/rules/guests.ts';
import { type MemoryRange, memoryRange } from '../../src/rules/placement/boot-parameters.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { isOn, platformForGuest, restrictionRefusal } from './platform.ts';

type VmRow = RecordNamed<'VM'>;

const onShutdown: Readonly<Record<VmRow['actions_after_shutdown'], readonly OnExit[]>> = {
  destroy: ['Shutdown'],
  restart: ['Start'],
};
const onCrash: Readonly<Record<VmRow['actions_after_crash'], readonly OnExit[]>> = {
  destroy: ['Shutdown'],
  coredump_and_destroy: ['Coredump', 'Shutdown'],
  restart: ['Start'],
  coredump_and_restart: ['Coredump', 'Start'],
  preserve: ['Pause'],
  rename_restart: ['Start'],
};
const onSoftreboot: Readonly<Record<VmRow['actions_after_softreboot'], readonly OnExit[]>> = {
  soft_reboot: ['Softreboot'],
  destroy: ['Shutdown'],
  restart: ['Start'],
  preserve: ['Pause'],
};

const numberIn = (map: ReadonlyMap<string, string>, key: string): number | undefined => {
  const text = map.get(key);
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
};

const videoMibMax = 256;
export const firmwareOf = (vm: VmRow): 'Bios' | 'Uefi' =>
  vm.HVM_boot_params.get('firmware')?.toLowerCase() === 'uefi' ? 'Uefi' : 'Bios';

/** Where the serial port leads. Anything else would be a file, a device or an address of the host's. */
const serialOf = ({ platform, other_config }: VmRow): 'pty' | 'none' =>
  (platform.get('hvm_serial') ?? other_config.get('hvm_serial')) === 'none' ? 'none' : 'pty';

const hvmBoot = (view: View, vm: VmRow): VmBoot => {
  const [tpm] = vm.VTPMs.flatMap((ref) => view.get('VTPM', ref)?.uuid ?? []);
  const keymap = vm.platform.get('keymap');
  return {
    type: 'HVM',
    hap: isOn(vm.platform, 'hap', true),
    shadow_multiplier: vm.HVM_shadow_multiplier,
    timeoffset: vm.platform.get('timeoffset') ?? '0',
    video_mib: Math.min(numberIn(vm.platform, 'videoram') ?? 4, videoMibMax),
    video: vm.platform.get('vga') === 'std' ? 'Standard_VGA' : 'Cirrus',
    acpi: isOn(vm.platform, 'acpi', true),
    serial: serialOf(vm),
    ...(keymap === undefined ? {} : { keymap }),
    boot_order: vm.HVM_boot_params.get('order') ?? 'cd',
    firmware: firmwareOf(vm),
    ...(tpm === undefined ? {} : { tpm }),
  };
};

/** A bootloader reads the kernel from the disks that are marked as bootable. */
const kernelBoot = (view: View, vm: VmRow, type: 'PV' | 'PVinPVH' | 'PVH'): VmBoot => {
  if (vm.PV_bootloader === '') {
    const ramdisk = vm.PV_ramdisk === '' ? {} : { ramdisk: vm.PV_ramdisk };
    return { type, kernel: { how: 'Direct', kernel: vm.PV_kernel, cmdline: vm.PV_args, ...ramdisk } };
  }
  const devices = vm.VBDs.flatMap((ref) => {
    const vbd = view.require('VBD', ref);
    return vbd.bootable && !vbd.empty ? [xenopsDisk(view, vbd.VDI)] : [];
  });
  return {
    type,
    kernel: {
      how: 'Indirect',
      bootloader: vm.PV_bootloader,
      extra_args: vm.PV_args,
      legacy_args: vm.PV_legacy_args,
      bootloader_args: vm.PV_bootloader_args,
      devices,
    },
  };
};

const bootOf = (view: View, vm: VmRow): VmBoot => {
  if (isHvm(vm)) return hvmBoot(view, vm);
  return kernelBoot(
    view,
    vm,
    vm.domain_type === 'pvh' ? 'PVH' : vm.domain_type === 'pv_in_pvh' ? 'PVinPVH' : 'PV',
  );
};

const masksMax = 64;

/** `0,2,3` for all virtual CPUs alike, or one such list for each, parted by semicolons. */
const affinityOf = (mask: string | undefined): readonly (readonly number[])[] =>
  (mask ?? '')
    .split(';')
    .slice(0, masksMax)
    .map((list) =>
      list
        .split(',')
        .filter((cpu) => /^\d{1,4}$/.test(cpu))
        .map(Number),
    )
    .filter((list) => list.length > 0);

const schedulerOf = (params: ReadonlyMap<string, string>): Vm['scheduler_params'] => {
  const weight = numberIn(params, 'weight');
  const cap = numberIn(params, 'cap');
  return {
    ...(weight === undefined && cap === undefined ? {} : { priority: [weight ?? 256, cap ?? 0] as const }),
    affinity: affinityOf(params.get('mask')),
  };
};

const platformOf = (view: View, vm: VmRow): ReadonlyMap<string, string> => {
  const [pool] = view.all('pool');
  const restrictions = pool?.[1].restrictions ?? new Map();
  demand(restrictionRefusal(restrictions, vm.platform));
  // All hosts of the pool have a processor that can do this much; one that goes on has seen what it had.
  const seen = vm.power_state === 'Halted' ? undefined : vm.last_boot_CPU_flags.get('features');
  const featureset = seen ?? pool?.[1].cpu_info.get('features_hvm') ?? '';
  const platform = featureset === '' ? vm.platform : new Map([['featureset', featureset], ...vm.platform]);
  return platformForGuest(platform, {
    firmware: firmwareOf(vm) === 'Uefi' ? 'UEFI' : 'BIOS',
    hvm: isHvm(vm),
    vcpusMax: vm.VCPUs_max,
    onlyKnown: isTrue(restrictions.get('platform_filter')),
  });
};

/** What of `xenstore_data` is meant for the guest. */
export const guestKeys = (data: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...data].filter(([key]) => key.startsWith('vm-data')));

const rangeOf = (vm: VmRow): MemoryRange => {
  const range = memoryRange(vm);
  if (range === undefined) throw new Fault('MEMORY_CONSTRAINT_VIOLATION');
  return range;
};

const vmForGuest = (view: View, vm: VmRow, range = rangeOf(vm)): Vm => ({
  id: vm.uuid,
  name: vm.name_label,
  xsdata: guestKeys(vm.xenstore_data),
  platformdata: platformOf(view, vm),
  bios_strings: vm.bios_strings,
  boot: bootOf(view, vm),
  memory_static_max: vm.memory_static_max,
  memory_dynamic_max: range.dynamicMax,
  memory_dynamic_min: range.dynamicMin,
  vcpu_max: Number(vm.VCPUs_max),
  vcpus: Number(vm.VCPUs_at_startup),
  scheduler_params: schedulerOf(vm.VCPUs_params),
  on_crash: onCrash[vm.actions_after_crash],
  on_shutdown: onShutdown[vm.actions_after_shutdown],
  on_reboot: vm.actions_after_reboot === 'destroy' ? ['Shutdown'] : ['Start'],
  on_softreboot: onSoftreboot[vm.actions_after_softreboot],
  has_vendor_device: vm.has_vendor_device,
  ...(vm.generation_id === '' ? {} : { generation_id: vm.generation_id }),
});

/**
 * What a guest comes to life with. One that was suspended expects what was plugged then, and nothing else.
 */
export const devicesOf = (view: View, vm: VmRow): Pick<VmRow, 'VBDs' | 'VIFs'> => {
  if (vm.power_state !== 'Suspended') return vm;
  return {
    VBDs: vm.VBDs.filter((ref) => view.get('VBD', ref)?.currently_attached),
    VIFs: vm.VIFs.filter((ref) => view.get('VIF', ref)?.currently_attached),
  };
};

/** Everything the hypervisor needs to know to start or resume a VM, from its rows. */
export const metadataOf = (view: View, self: Ref<'VM'>): XenopsMetadata => {
  const vm = view.require('VM', self);
  const { VBDs, VIFs } = devicesOf(view, vm);
  const metadata: XenopsMetadata = {
    vm: vmForGuest(view, vm),
    vbds: VBDs.map((ref) => vbdForGuest(view, view.require('VBD', ref), vm)),
    vifs: VIFs.map((ref) => vifForGuest(view, view.require('VIF', ref), vm)),
    ...(vm.power_state === 'Suspended' && vm.last_booted_record !== ''
      ? { domains: vm.last_booted_record }
      : {}),
  };
  const positions = metadata.vbds.map(({ id }) => id[1]);
  const twice = positions.findIndex((key, i) => positions.indexOf(key) !== i);
  if (twice >= 0) {
    throw new Fault('VM_DUPLICATE_VBD_DEVICE', [self, VBDs[twice] ?? '', positions[twice] ?? '']);
  }
  return metadata;
};

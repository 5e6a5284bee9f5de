// The types of the xenopsd interface as rpclib writes them, both ways. Readers take what a real xenopsd
// or a real toolstack sends: unknown members are passed over, names match in any case, and integers may
// come as strings, as the XML flavour has them. They throw a `DecodeFailure` that says what was expected.

import { readJson } from '../../codec/jsonrpc-reader.ts';
import { jsonValue } from '../../codec/jsonrpc-writer.ts';
import { variant, variantOf } from '../../codec/rpclib.ts';
import type {
  OnExit,
  Vm,
  VmBoot,
  VmState,
  XenopsConsole,
  XenopsMetadata,
} from '../../drivers/hypervisor/hypervisor.ts';
import {
  boolOf,
  floatOf,
  intOf,
  listOf,
  member,
  optional,
  optionalMember,
  required,
  stringOf,
  tupleOf,
} from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import { vbdOf, vbdValue, vifOf, vifValue } from './devices.ts';
import { diskOf, diskValue, mapOf, nameOf, nameOr, numberOf, present } from './values.ts';

// Vm.t

const onExits: readonly OnExit[] = ['Coredump', 'Shutdown', 'Start', 'Pause', 'Softreboot'];

const schedulerValue = (params: Vm['scheduler_params']): Struct =>
  struct({
    priority: params.priority?.map(BigInt),
    affinity: params.affinity.map((mask) => mask.map(BigInt)),
  });

export const vmValue = (vm: Vm): Struct =>
  struct({
    id: vm.id,
    name: vm.name,
    ssidref: 0n,
    xsdata: vm.xsdata,
    platformdata: vm.platformdata,
    bios_strings: vm.bios_strings,
    ty: bootValue(vm.boot),
    suppress_spurious_page_faults: false,
    memory_static_max: vm.memory_static_max,
    memory_dynamic_max: vm.memory_dynamic_max,
    memory_dynamic_min: vm.memory_dynamic_min,
    vcpu_max: BigInt(vm.vcpu_max),
    vcpus: BigInt(vm.vcpus),
    scheduler_params: schedulerValue(vm.scheduler_params),
    on_crash: vm.on_crash,
    on_shutdown: vm.on_shutdown,
    on_reboot: vm.on_reboot,
    on_softreboot: vm.on_softreboot,
    pci_msitranslate: true,
    pci_power_mgmt: false,
    has_vendor_device: vm.has_vendor_device,
    generation_id: vm.generation_id,
  });

const exitsOf = (value: Value, what: string): readonly OnExit[] =>
  listOf(value, what).map((each) => nameOf(each, onExits, what));

const schedulerOf = (value: Value): Vm['scheduler_params'] => ({
  ...present({
    priority: optional(value, 'priority', (pair, what) => {
      const [weight, cap] = tupleOf(pair, 2, what).map((each) => numberOf(each, what));
      return [weight, cap] as readonly [number, number];
    }),
  }),
  affinity: required(value, 'affinity', listOf).map((mask) =>
    listOf(mask, 'affinity').map((cpu) => numberOf(cpu, 'affinity')),
  ),
});

export const vmOf = (value: Value): Vm => ({
  id: required(value, 'id', stringOf),
  name: required(value, 'name', stringOf),
  xsdata: required(value, 'xsdata', mapOf),
  platformdata: required(value, 'platformdata', mapOf),
  bios_strings: required(value, 'bios_strings', mapOf),
  boot: bootOf(member(value, 'ty')),
  memory_static_max: required(value, 'memory_static_max', intOf),
  memory_dynamic_max: required(value, 'memory_dynamic_max', intOf),
  memory_dynamic_min: required(value, 'memory_dynamic_min', intOf),
  vcpu_max: required(value, 'vcpu_max', numberOf),
  vcpus: required(value, 'vcpus', numberOf),
  scheduler_params: schedulerOf(member(value, 'scheduler_params')),
  on_crash: required(value, 'on_crash', exitsOf),
  on_shutdown: required(value, 'on_shutdown', exitsOf),
  on_reboot: required(value, 'on_reboot', exitsOf),
  on_softreboot: optional(value, 'on_softreboot', exitsOf) ?? ['Softreboot'],
  has_vendor_device: optional(value, 'has_vendor_device', boolOf) ?? false,
  ...present({ generation_id: optional(value, 'generation_id', stringOf) }),
});

// Vm.t's ty

/** UEFI variables are kept in the toolstack's database by this name of a backend. */
const UEFI_BACKEND = 'xapidb';

const bootValue = (boot: VmBoot): Value => {
  if (boot.type !== 'HVM') {
    const { how, ...kernel } = boot.kernel;
    const members = 'devices' in kernel ? { ...kernel, devices: kernel.devices.map(diskValue) } : kernel;
    return variant(
      boot.type,
      struct({
        boot: variant(how, struct(members)),
        framebuffer: false,
        vncterm: true,
        pci_passthrough: false,
      }),
    );
  }
  const uefi = variant('Uefi', struct({ on_boot: 'Persist', backend: UEFI_BACKEND }));
  return variant(
    'HVM',
    struct({
      hap: boot.hap,
      shadow_multiplier: boot.shadow_multiplier,
      timeoffset: boot.timeoffset,
      video_mib: BigInt(boot.video_mib),
      video: boot.video,
      acpi: boot.acpi,
      serial: boot.serial,
      keymap: boot.keymap,
      pci_emulations: [],
      pci_passthrough: false,
      boot_order: boot.boot_order,
      qemu_disk_cmdline: false,
      qemu_stubdom: false,
      firmware: boot.firmware === 'Uefi' ? uefi : 'Bios',
      tpm: boot.tpm === undefined ? undefined : variant('Vtpm', boot.tpm),
    }),
  );
};

const bootOf = (value: Value): VmBoot => {
  const type = nameOf(value, ['HVM', 'PV', 'PVinPVH', 'PVH'], 'ty');
  const { payload = null } = variantOf(value, 'ty');
  if (type !== 'HVM') return { type, kernel: kernelOf(member(payload, 'boot')) };
  return {
    type,
    hap: required(payload, 'hap', boolOf),
    shadow_multiplier: required(payload, 'shadow_multiplier', floatOf),
    timeoffset: required(payload, 'timeoffset', stringOf),
    video_mib: required(payload, 'video_mib', numberOf),
    // Passed-through and virtual GPUs are not ours to make: their guests still need some screen.
    video: nameOr(optionalMember(payload, 'video'), ['Cirrus', 'Standard_VGA'], 'Standard_VGA'),
    acpi: required(payload, 'acpi', boolOf),
    ...present({
      serial: optional(payload, 'serial', stringOf),
      keymap: optional(payload, 'keymap', stringOf),
    }),
    boot_order: required(payload, 'boot_order', stringOf),
    firmware: nameOr(optionalMember(payload, 'firmware'), ['Bios', 'Uefi'], 'Bios'),
    ...present({ tpm: optional(payload, 'tpm', (tpm) => stringOf(variantOf(tpm, 'tpm').payload ?? null)) }),
  };
};

const kernelOf = (value: Value): Exclude<VmBoot, { type: 'HVM' }>['kernel'] => {
  const { payload = null } = variantOf(value, 'boot');
  if (nameOf(value, ['Direct', 'Indirect'], 'boot') === 'Direct') {
    return {
      how: 'Direct',
      kernel: required(payload, 'kernel', stringOf),
      cmdline: required(payload, 'cmdline', stringOf),
      ...present({ ramdisk: optional(payload, 'ramdisk', stringOf) }),
    };
  }
  return {
    how: 'Indirect',
    bootloader: required(payload, 'bootloader', stringOf),
    extra_args: required(payload, 'extra_args', stringOf),
    legacy_args: required(payload, 'legacy_args', stringOf),
    bootloader_args: required(payload, 'bootloader_args', stringOf),
    devices: required(payload, 'devices', listOf).map(diskOf),
  };
};

// Vm.state

const consoleValue = (console: XenopsConsole): Struct =>
  struct({ protocol: console.protocol, port: BigInt(console.port), path: console.path });

const consoleOf = (value: Value): XenopsConsole => ({
  protocol: nameOf(member(value, 'protocol'), ['Rfb', 'Vt100'], 'protocol'),
  port: required(value, 'port', numberOf),
  path: optional(value, 'path', stringOf) ?? '',
});

export const vmStateValue = (state: VmState): Struct =>
  struct({
    power_state: state.power_state,
    domids: state.domids.map(BigInt),
    consoles: state.consoles.map(consoleValue),
    memory_target: state.memory_target,
    memory_actual: state.memory_actual,
    memory_limit: state.memory_limit,
    vcpu_target: BigInt(state.vcpu_target),
    shadow_multiplier_target: 1,
    rtc_timeoffset: state.rtc_timeoffset,
    uncooperative_balloon_driver: false,
    guest_agent: state.guest_agent,
    xsdata_state: state.xsdata_state,
    pv_drivers_detected: state.pv_drivers_detected,
    last_start_time: state.last_start_time,
    hvm: state.hvm,
    nomigrate: state.nomigrate,
    nested_virt: state.nested_virt,
    domain_type: state.domain_type,
    featureset: state.featureset,
    numa_optimised: false,
    numa_nodes: 0n,
    numa_node_memory: [],
  });

const powerStates = ['Running', 'Halted', 'Suspended', 'Paused'] as const;

export const vmStateOf = (value: Value): VmState => ({
  power_state: nameOf(member(value, 'power_state'), powerStates, 'power_state'),
  domids: required(value, 'domids', listOf).map((each) => numberOf(each, 'domids')),
  consoles: required(value, 'consoles', listOf).map(consoleOf),
  memory_target: required(value, 'memory_target', intOf),
  memory_actual: required(value, 'memory_actual', intOf),
  memory_limit: required(value, 'memory_limit', intOf),
  vcpu_target: required(value, 'vcpu_target', numberOf),
  guest_agent: required(value, 'guest_agent', mapOf),
  xsdata_state: required(value, 'xsdata_state', mapOf),
  pv_drivers_detected: required(value, 'pv_drivers_detected', boolOf),
  last_start_time: required(value, 'last_start_time', floatOf),
  hvm: required(value, 'hvm', boolOf),
  nomigrate: optional(value, 'nomigrate', boolOf) ?? false,
  nested_virt: optional(value, 'nested_virt', boolOf) ?? false,
  domain_type: nameOr(
    optionalMember(value, 'domain_type'),
    ['Domain_HVM', 'Domain_PV', 'Domain_PVinPVH', 'Domain_PVH', 'Domain_undefined'],
    'Domain_undefined',
  ),
  rtc_timeoffset: optional(value, 'rtc_timeoffset', stringOf) ?? '',
  featureset: optional(value, 'featureset', stringOf) ?? '',
});

// Metadata.t, which travels as JSON text whatever the transport is

export const metadataText = (metadata: XenopsMetadata): string => {
  const hvm = metadata.vm.boot.type === 'HVM';
  return jsonValue(
    struct({
      vm: vmValue(metadata.vm),
      vbds: metadata.vbds.map((vbd) => vbdValue(vbd, hvm)),
      vifs: metadata.vifs.map(vifValue),
      pcis: [],
      vgpus: [],
      vusbs: [],
      domains: metadata.domains,
    }),
  );
};

export const metadataOf = (text: string): XenopsMetadata => {
  const value = readJson(text);
  return {
    vm: vmOf(member(value, 'vm')),
    vbds: required(value, 'vbds', listOf).map(vbdOf),
    vifs: required(value, 'vifs', listOf).map(vifOf),
    ...present({ domains: optional(value, 'domains', stringOf) }),
  };
};

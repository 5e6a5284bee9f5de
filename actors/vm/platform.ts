import { demand, type Refusal } from '../../src/objects/refusal.ts';
import { isFalse, isTrue } from '../../src/rules/guests.ts';
import { integerOf } from '../../src/std/integers.ts';

export interface PlatformSetting {
  readonly firmware: 'BIOS' | 'UEFI';
  readonly hvm: boolean;
  readonly vcpusMax: bigint;
  /** Drop switches that no hypervisor is known to understand. */
  readonly onlyKnown: boolean;
}

const known: ReadonlySet<string> = new Set([
  'acpi',
  'acpi_laptop_slate',
  'acpi_s3',
  'acpi_s4',
  'apic',
  'cores-per-socket',
  'cpuid',
  'device-model',
  'device_id',
  'exp-nested-hvm',
  'featureset',
  'hap',
  'hpet',
  'hvm_serial',
  'igd_passthrough',
  'mmio_size_mib',
  'nested-virt',
  'nic_type',
  'nomigrate',
  'nx',
  'pae',
  'parallel',
  'revision',
  'secureboot',
  'timeoffset',
  'tsc_mode',
  'usb',
  'usb_tablet',
  'vga',
  'vgpu_config',
  'vgpu_pci_id',
  'vgpu_vga_mode',
  'videoram',
  'viridian',
  'viridian_apic_assist',
  'viridian_crash_ctl',
  'viridian_reference_tsc',
  'viridian_stimer',
  'viridian_time_ref_count',
  'vtpm',
  'xenguest',
]);

/** A switch that is either on or off: no other word is one. */
export const isSwitch = (platform: ReadonlyMap<string, string>, key: string): boolean => {
  const value = platform.get(key);
  return value === undefined || isTrue(value) || isFalse(value);
};

export const isOn = (platform: ReadonlyMap<string, string>, key: string, otherwise: boolean): boolean => {
  const value = platform.get(key);
  return isTrue(value) || (!isFalse(value) && otherwise);
};

export const restrictionRefusal = (
  restrictions: ReadonlyMap<string, string>,
  platform: ReadonlyMap<string, string>,
): Refusal | undefined => {
  const nested = platform.get('nested-virt');
  if (nested !== undefined && !isSwitch(platform, 'nested-virt')) {
    return ['INVALID_VALUE', 'platform:nested-virt', nested];
  }
  return isTrue(restrictions.get('restrict_nested_virt')) && isTrue(nested)
    ? ['LICENCE_RESTRICTION', 'Nested_virt']
    : undefined;
};

/** Which emulator a firmware needs: the wrong one leaves a guest that never boots. */
const emulatorRefusal = (
  { firmware, hvm }: PlatformSetting,
  model: string | undefined,
): Refusal | undefined => {
  if (!hvm) return undefined;
  const wrong = firmware === 'UEFI' ? 'qemu-trad' : 'qemu-upstream-uefi';
  return model === wrong
    ? ['INVALID_VALUE', 'platform:device-model', `${firmware} boot is not supported with ${wrong}`]
    : undefined;
};

const coresRefusal = ({ hvm, vcpusMax }: PlatformSetting, cores: string | undefined): Refusal | undefined => {
  if (!hvm || cores === undefined) return undefined;
  const count = integerOf(cores);
  if (count === undefined) return ['INVALID_VALUE', 'platform:cores-per-socket', cores];
  return count > 0n && vcpusMax % count === 0n
    ? undefined
    : ['VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE', String(vcpusMax), cores];
};

/** Settings that reach files of the host or upset the hypervisor are left out unless they are of these. */
const harmless: ReadonlyMap<string, RegExp> = new Map([
  ['tsc_mode', /^[0-3]$/],
  ['parallel', /^(none|\/dev\/parport\d{1,2})$/],
  ['hvm_serial', /^(none|pty)$/],
  ['keymap', /^[a-z]{2}(-[a-z]{2})?$/],
  ['device-model', /^[a-z0-9-]{1,64}$/],
  // Programs, and a file that a program reads.
  ['xenguest', /^$/],
  ['emu-manager', /^$/],
  ['vgpu_config', /^\/usr\/share\/nvidia\/(vgx|vgpu)\/[A-Za-z0-9_][A-Za-z0-9_.-]*$/],
  ['vgpu_extra_args', /^[A-Za-z0-9_=,.-]*$/],
]);

const keymapRefusal = (keymap: string | undefined): Refusal | undefined =>
  keymap === undefined || harmless.get('keymap')?.test(keymap)
    ? undefined
    : ['INVALID_VALUE', 'platform:keymap', `${keymap} is not a keymap, such as en-us`];

/** The switches a guest starts with, from those its row has. Throws what would keep it from booting. */
export const platformForGuest = (
  platform: ReadonlyMap<string, string>,
  setting: PlatformSetting,
): ReadonlyMap<string, string> => {
  demand(emulatorRefusal(setting, platform.get('device-model')));
  demand(coresRefusal(setting, platform.get('cores-per-socket')));
  demand(setting.hvm ? keymapRefusal(platform.get('keymap')) : undefined);
  const usb = isOn(platform, 'usb', true);
  const rest = [...platform].filter(
    ([key, value]) =>
      key !== 'usb' &&
      key !== 'usb_tablet' &&
      (!setting.onlyKnown || known.has(key)) &&
      (harmless.get(key)?.test(value) ?? true),
  );
  const tablet = usb && isOn(platform, 'usb_tablet', true);
  return new Map([['usb', String(usb)], ['usb_tablet', String(tablet)], ...rest]);
};

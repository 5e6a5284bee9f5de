import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { NewRow } from '../../src/objects/new-rows.ts';
import type { Tx } from '../../src/store/view.ts';

const MiB = 1n << 20n;
const GiB = 1n << 30n;

/** How an operating system is installed; what is not said is as in `other`. */
interface Family {
  /** Value of `install-distro`, which tells clients how its network installer is started. */
  readonly distro?: string;
  readonly linux: boolean;
  readonly memory: bigint;
  readonly disk: bigint;
  readonly vcpus: bigint;
  readonly uefi: boolean;
  readonly platform?: Readonly<Record<string, string>>;
}

const linux: Family = { linux: true, memory: 2n * GiB, disk: 10n * GiB, vcpus: 1n, uefi: false };
const debian: Family = { ...linux, distro: 'debianlike' };
const redHat: Family = { ...linux, distro: 'rhlike' };
const suse: Family = { ...linux, distro: 'sleslike' };
const windows: Family = {
  linux: false,
  memory: 4n * GiB,
  disk: 64n * GiB,
  vcpus: 2n,
  uefi: true,
  platform: {
    viridian: 'true',
    viridian_time_ref_count: 'true',
    viridian_reference_tsc: 'true',
    hpet: 'true',
  },
};

interface Template {
  readonly name: string;
  /** Names the template whatever it is called for people, so that an upgrade finds it again. */
  readonly label: string;
  readonly family: Family;
}

/** Made at the first start; later versions add what is missing. Clients look templates up by these names. */
export const templates: readonly Template[] = [
  { name: 'Debian Bullseye 11', label: 'debian-11', family: debian },
  { name: 'Debian Bookworm 12', label: 'debian-12', family: debian },
  { name: 'Debian Trixie 13', label: 'debian-13', family: debian },
  { name: 'Ubuntu Focal Fossa 20.04', label: 'ubuntu-20.04', family: debian },
  { name: 'Ubuntu Jammy Jellyfish 22.04', label: 'ubuntu-22.04', family: debian },
  { name: 'Ubuntu Noble Numbat 24.04', label: 'ubuntu-24.04', family: debian },
  { name: 'AlmaLinux 8', label: 'almalinux-8', family: redHat },
  { name: 'AlmaLinux 9', label: 'almalinux-9', family: redHat },
  { name: 'Rocky Linux 8', label: 'rocky-8', family: redHat },
  { name: 'Rocky Linux 9', label: 'rocky-9', family: redHat },
  { name: 'CentOS Stream 9', label: 'centos-stream-9', family: redHat },
  { name: 'Red Hat Enterprise Linux 9', label: 'rhel-9', family: redHat },
  { name: 'SUSE Linux Enterprise 15 (64-bit)', label: 'sle-15-64bit', family: suse },
  { name: 'Generic Linux BIOS', label: 'generic-linux-bios', family: linux },
  { name: 'Generic Linux UEFI', label: 'generic-linux-uefi', family: { ...linux, uefi: true } },
  { name: 'Windows 10 (64-bit)', label: 'windows-10-64bit', family: windows },
  { name: 'Windows 11', label: 'windows-11', family: windows },
  { name: 'Windows Server 2019 (64-bit)', label: 'windows-server-2019-64bit', family: windows },
  { name: 'Windows Server 2022 (64-bit)', label: 'windows-server-2022-64bit', family: windows },
  { name: 'Windows Server 2025', label: 'windows-server-2025', family: windows },
  {
    name: 'Other install media',
    label: 'other-install-media',
    family: { linux: false, memory: 256n * MiB, disk: 0n, vcpus: 1n, uefi: false },
  },
];

/** The disks that `VM.provision` makes, on the default SR. */
const disks = (bytes: bigint): string =>
  bytes === 0n
    ? '<provision/>'
    : `<provision><disk device="0" size="${bytes}" sr="" bootable="true" type="system"/></provision>`;

/** Limits that clients hold users to. */
const recommendations = ({ memory }: Family): string =>
  [
    '<restrictions>',
    `<restriction field="memory-static-max" min="${memory < GiB ? memory : GiB}" max="${1536n * GiB}"/>`,
    '<restriction field="vcpus-max" min="1" max="64"/>',
    '<restriction field="supports-uefi" value="yes"/>',
    '<restriction property="number-of-vbds" max="255"/>',
    '<restriction property="number-of-vifs" max="7"/>',
    '</restrictions>',
  ].join('');

const otherConfig = ({ family }: Template): ReadonlyMap<string, string> =>
  new Map([
    ['default_template', 'true'],
    ['disks', disks(family.disk)],
    ['install-methods', family.distro === undefined ? 'cdrom' : 'cdrom,nfs,http,ftp'],
    ...(family.linux ? ([['linux_template', 'true']] as const) : []),
    ...(family.distro === undefined ? [] : ([['install-distro', family.distro]] as const)),
  ]);

const platform = ({ uefi, platform: own }: Family): ReadonlyMap<string, string> =>
  new Map(
    Object.entries({
      acpi: '1',
      apic: 'true',
      pae: 'true',
      nx: 'true',
      viridian: 'false',
      vga: 'std',
      videoram: '8',
      'device-model': uefi ? 'qemu-upstream-uefi' : 'qemu-upstream-compat',
      secureboot: 'false',
      ...own,
    }),
  );

const fieldsOf = (template: Template): Partial<RecordNamed<'VM'>> => {
  const { family, name, label } = template;
  return {
    name_label: name,
    name_description: `Clone this template to make a VM that runs ${name}`,
    reference_label: label,
    is_a_template: true,
    is_default_template: true,
    memory_static_max: family.memory,
    memory_dynamic_max: family.memory,
    memory_dynamic_min: family.memory,
    memory_static_min: family.memory < GiB ? family.memory : GiB,
    memory_target: 0n,
    VCPUs_params: new Map([['weight', '256']]),
    VCPUs_max: family.vcpus,
    VCPUs_at_startup: family.vcpus,
    actions_after_shutdown: 'destroy',
    actions_after_reboot: 'restart',
    actions_after_crash: 'restart',
    HVM_boot_policy: 'BIOS order',
    HVM_boot_params: new Map([
      ['order', family.linux ? 'cdn' : 'dcn'],
      ['firmware', family.uefi ? 'uefi' : 'bios'],
    ]),
    HVM_shadow_multiplier: 1,
    platform: platform(family),
    other_config: otherConfig(template),
    recommendations: recommendations(family),
    domain_type: 'hvm',
    domid: -1n,
  };
};

/** Makes the default templates that are not there yet. */
export const createTemplates = (tx: Tx, newRow: NewRow): readonly Ref<'VM'>[] => {
  const known = new Set<string>();
  for (const [, vm] of tx.all('VM')) if (vm.is_default_template) known.add(vm.reference_label);
  return templates
    .filter(({ label }) => !known.has(label))
    .map((template) => {
      const { ref, uuid } = newRow('VM');
      tx.create('VM', ref, { ...fieldsOf(template), uuid });
      return ref;
    });
};

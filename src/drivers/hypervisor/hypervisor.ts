import type { Value } from '../../std/value.ts';
import type { Capabilities } from '../capabilities.ts';

/**
 * What a host asks of its hypervisor: the xenopsd interface, with tasks awaited, errors as
 * `XenopsError` and events pushed. Ids are VM uuids; a device is `[VM uuid, device key]`.
 */
export interface Hypervisor {
  /**
   * `xenopsd-qemu`, `xenopsd-sim` or what the daemon calls itself; changes of `instanceId` mean it restarted.
   */
  query(): Promise<{
    name: string;
    version: string;
    features: readonly string[];
    instanceId: string;
    capabilities: Capabilities;
  }>;
  hostStat(): Promise<HypervisorHost>;

  /** Gives the daemon everything about a VM, replacing what it knew. Answers the VM's id. */
  importMetadata(metadata: XenopsMetadata, debugInfo: string): Promise<string>;
  exportMetadata(vm: string, debugInfo: string): Promise<XenopsMetadata>;
  /** Nothing of a daemon that keeps it by itself. */
  kept(vm: string): Promise<Kept>;
  /** What the VM's next guest is to begin with. */
  setKept(vm: string, kept: Kept): Promise<void>;
  stat(vm: string): Promise<VmState | undefined>;
  list(): Promise<readonly { readonly id: string; readonly state: VmState }[]>;
  /** Makes the daemon forget a halted VM. */
  remove(vm: string): Promise<void>;

  /** Leaves the VM paused; `unpause` lets it run. */
  start(vm: string, force: boolean, work: XenopsWork): Promise<void>;
  unpause(vm: string, work: XenopsWork): Promise<void>;
  pause(vm: string, work: XenopsWork): Promise<void>;
  /** With `timeoutS` the guest is asked and has that long; without, power is cut. */
  shutdown(vm: string, timeoutS: number | undefined, work: XenopsWork): Promise<void>;
  reboot(vm: string, timeoutS: number | undefined, work: XenopsWork): Promise<void>;
  suspend(vm: string, into: XenopsDisk, work: XenopsWork): Promise<void>;
  resume(vm: string, from: XenopsDisk, work: XenopsWork): Promise<void>;
  /**
   * Moves a running VM to another daemon. Once it resolves, this one no longer knows the VM, and `onVm` says
   * so; a rejection leaves it here. Only `Failed_to_contact_remote_service` may leave open where it is: then
   * it stands still here, as `Paused`, and the daemon goes on asking, or asks anew by the next migration's
   * URL.
   */
  migrate(vm: string, to: XenopsDestination, work: XenopsWork): Promise<void>;
  setVcpus(vm: string, count: number, work: XenopsWork): Promise<void>;
  setMemoryDynamicRange(vm: string, minimum: bigint, maximum: bigint, work: XenopsWork): Promise<void>;
  /** Waits for its turn behind all that the daemon was told about this VM before, and does nothing. */
  turn(vm: string, work: XenopsWork): Promise<void>;
  setXsdata(vm: string, data: ReadonlyMap<string, string>, work: XenopsWork): Promise<void>;
  setShadowMultiplier(vm: string, multiplier: number, work: XenopsWork): Promise<void>;
  /** Presses the magic key with this letter or digit. */
  sendSysrq(vm: string, key: string, work: XenopsWork): Promise<void>;
  sendTrigger(vm: string, trigger: GuestTrigger, work: XenopsWork): Promise<void>;
  /** Has the guest's agent let people in by remote desktop, or not any more. */
  requestRdp(vm: string, enabled: boolean, work: XenopsWork): Promise<void>;
  /** Has the guest's agent run a script; answers as the script ends, whatever its code. */
  runScript(vm: string, script: string, work: XenopsWork): Promise<ScriptOutcome>;

  addVbd(vbd: Vbd): Promise<void>;
  removeVbd(id: DeviceId): Promise<void>;
  plugVbd(id: DeviceId, work: XenopsWork): Promise<void>;
  unplugVbd(id: DeviceId, force: boolean, work: XenopsWork): Promise<void>;
  insertVbd(id: DeviceId, disk: XenopsDisk, work: XenopsWork): Promise<void>;
  ejectVbd(id: DeviceId, work: XenopsWork): Promise<void>;
  /** The storage has put an image on top of the one that the guest has: it goes on with that. */
  overlayVbd(id: DeviceId, work: XenopsWork): Promise<void>;
  /** Copies a disk into another one while the guest runs, and leaves the guest with that. */
  mirrorVbd(id: DeviceId, into: XenopsDisk, work: XenopsWork): Promise<void>;
  growVbd(id: DeviceId, sizeBytes: bigint, work: XenopsWork): Promise<void>;
  statVbd(id: DeviceId): Promise<VbdState | undefined>;
  addVif(vif: Vif): Promise<void>;
  removeVif(id: DeviceId): Promise<void>;
  plugVif(id: DeviceId, work: XenopsWork): Promise<void>;
  unplugVif(id: DeviceId, force: boolean, work: XenopsWork): Promise<void>;
  moveVif(id: DeviceId, network: string, work: XenopsWork): Promise<void>;
  /** Which addresses a card may use, from now on. */
  setVifLocking(id: DeviceId, mode: Vif['locking_mode'], work: XenopsWork): Promise<void>;
  statVif(id: DeviceId): Promise<DeviceState | undefined>;

  /**
   * Starts the event thread. Reports are awaited one after another, in the daemon's order. After the
   * daemon was away, `onReconnect` runs first and everything it has is reported again.
   */
  watch(reports: {
    /** Something of this VM changed; `state` undefined: the daemon no longer knows it. */
    readonly onVm: (vm: string, state: VmState | undefined) => Promise<void>;
    readonly onVbd: (id: DeviceId) => Promise<void>;
    readonly onVif: (id: DeviceId) => Promise<void>;
    readonly onReconnect: () => Promise<void>;
    /** The daemon cannot be reached; it is tried again until it can. */
    readonly onLost: (error: unknown) => void;
  }): void;
  /** Resolves once every report of this VM that the daemon had made before the call has been handled. */
  barrier(vm: string): Promise<void>;
  /** Has a VM left out of the reports, for work that settles with what has become of it. */
  attend(vm: string): Attendance;
  /** Re-announces the VM and its devices. */
  refresh(vm: string): Promise<void>;
  /** Has the VM reported once more, in its turn, also one that the daemon has forgotten. */
  reportAgain(vm: string): void;
  close(): Promise<void>;
}

/** Of one VM, until it is left. */
export interface Attendance {
  /** How the VM is now; undefined: the daemon does not know it. */
  state(): Promise<VmState | undefined>;
  /** From now on it is reported again, at once where something was told since `state`. Can be repeated. */
  leave(): void;
}

/** What a daemon tells of its host. */
export interface HypervisorHost {
  /** Such as `QEMU 7.2.22 (kvm, host)`. */
  readonly version: string;
  /** Words of CPUID by their names in `host.cpu_info`, such as `features_hvm`, as far as it says. */
  readonly features: ReadonlyMap<string, string>;
}

/** The feature of a daemon that changes what is under a disk while its guest runs. */
export const LIVE_DISKS = 'live-disks';

/** What happens to the hardware of a machine. */
export const guestTriggers = ['nmi', 'reset', 'init', 'power', 'sleep', 's3resume'] as const;
export type GuestTrigger = (typeof guestTriggers)[number];

/** `tpm`: contents of a TPM. `variables`: those of a UEFI firmware. */
export const keptNames = ['tpm', 'variables'] as const;
/**
 * What devices of a guest keep from one run to the next, in base64. Secret: with what is in its TPM a guest
 * opens its disks.
 */
export type Kept = ReadonlyMap<(typeof keptNames)[number], string>;

/** The entries of it that are kept. */
export const keptIn = (entries: Iterable<readonly [string, string]>): Kept => {
  const all = new Map(entries);
  return new Map(
    keptNames.flatMap((name) => {
      const value = all.get(name);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
};

export interface ScriptOutcome {
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface XenopsDestination {
  /**
   * Where the other daemon is reached from this one: `http+unix://<socket path, percent-encoded>/` for ours.
   */
  readonly url: string;
  /** Disks that have another name there: `<SR uuid>/<VDI location>` by the same. */
  readonly vdiMap?: ReadonlyMap<string, string>;
  /** Names of bridges there, by the key of the network card. */
  readonly vifMap?: ReadonlyMap<string, string>;
  readonly compress?: boolean;
  readonly verifyDest?: boolean;
}

/** How a task of the daemon is followed. */
export interface XenopsWork {
  readonly debugInfo: string;
  /** Aborting it cancels the daemon's task; the call then rejects with the daemon's `Cancelled`. */
  readonly signal: AbortSignal;
  /** From 0 to 1. */
  readonly progress: (fraction: number) => void;
  /** False while the daemon's task can no longer be cancelled. */
  readonly cancellable?: (can: boolean) => void;
}

/** All that a daemon refuses with. */
export type XenopsTag =
  | 'Already_exists'
  | 'Does_not_exist'
  | 'Unimplemented'
  | 'Domain_not_built'
  | 'Invalid_vcpus'
  | 'Bad_power_state'
  | 'Failed_to_acknowledge_shutdown_request'
  | 'Failed_to_acknowledge_suspend_request'
  | 'Failed_to_shutdown'
  | 'Failed_to_suspend'
  | 'Device_is_connected'
  | 'Device_not_connected'
  | 'Device_detach_rejected'
  | 'Not_supported'
  | 'Media_not_ejectable'
  | 'Media_present'
  | 'Media_not_present'
  | 'No_bootable_device'
  | 'Bootloader_error'
  | 'Cannot_free_this_much_memory'
  | 'Vms_failed_to_cooperate'
  | 'IO_error'
  | 'Failed_to_contact_remote_service'
  | 'Hook_failed'
  | 'Not_enough_memory'
  | 'Cancelled'
  | 'Storage_backend_error'
  | 'PCIBack_not_loaded'
  | 'Failed_to_run_script'
  | 'Failed_to_start_emulator'
  | 'Ballooning_timeout_before_migration'
  | 'Internal_error'
  | 'Unknown_error';

/** The daemon's refusal, such as `Bad_power_state` with `['Running', 'Halted']`. */
export class XenopsError extends Error {
  readonly tag: XenopsTag;
  readonly args: readonly Value[];

  constructor(tag: XenopsTag, args: readonly Value[]) {
    super(`xenopsd: ${tag}(${args.map(String).join(', ')})`);
    this.name = 'XenopsError';
    this.tag = tag;
    this.args = args;
  }
}

const isTagged = (error: unknown, tag: XenopsTag): boolean =>
  error instanceof XenopsError && error.tag === tag;

/** The daemon is not there any more, and with it what it was doing. */
export const isLost = (error: unknown): boolean => isTagged(error, 'Failed_to_contact_remote_service');

/** The daemon does not know, or no longer knows, what it was asked about. */
export const isMissing = (error: unknown): boolean => isTagged(error, 'Does_not_exist');

export type DeviceId = readonly [vm: string, device: string];

/** A path of the host, or `<SR uuid>/<VDI location>`. */
export type XenopsDisk = readonly ['Local', string] | readonly ['VDI', string];

export interface VmState {
  readonly power_state: 'Running' | 'Halted' | 'Suspended' | 'Paused';
  readonly domids: readonly number[];
  readonly consoles: readonly XenopsConsole[];
  readonly memory_target: bigint;
  readonly memory_actual: bigint;
  readonly memory_limit: bigint;
  readonly vcpu_target: number;
  readonly guest_agent: ReadonlyMap<string, string>;
  readonly xsdata_state: ReadonlyMap<string, string>;
  readonly pv_drivers_detected: boolean;
  /** Seconds since 1970. */
  readonly last_start_time: number;
  readonly hvm: boolean;
  readonly nomigrate: boolean;
  readonly nested_virt: boolean;
  readonly domain_type: string;
  readonly rtc_timeoffset: string;
  readonly featureset: string;
}

/** `path` is a Unix socket where it is not empty, else `port` is one of loopback. */
export interface XenopsConsole {
  readonly protocol: 'Rfb' | 'Vt100';
  readonly port: number;
  readonly path: string;
}

export type OnExit = 'Coredump' | 'Shutdown' | 'Start' | 'Pause' | 'Softreboot';

export interface Vm {
  readonly id: string;
  readonly name: string;
  readonly xsdata: ReadonlyMap<string, string>;
  readonly platformdata: ReadonlyMap<string, string>;
  readonly bios_strings: ReadonlyMap<string, string>;
  readonly boot: VmBoot;
  /** Bytes. */
  readonly memory_static_max: bigint;
  readonly memory_dynamic_max: bigint;
  readonly memory_dynamic_min: bigint;
  readonly vcpu_max: number;
  readonly vcpus: number;
  readonly scheduler_params: {
    readonly priority?: readonly [weight: number, cap: number];
    readonly affinity: readonly (readonly number[])[];
  };
  readonly on_crash: readonly OnExit[];
  readonly on_shutdown: readonly OnExit[];
  readonly on_reboot: readonly OnExit[];
  readonly on_softreboot: readonly OnExit[];
  readonly has_vendor_device: boolean;
  readonly generation_id?: string;
}

/** How the guest boots. HVM loads a boot sector or UEFI; the others load a kernel. */
export type VmBoot =
  | {
      readonly type: 'HVM';
      readonly hap: boolean;
      readonly shadow_multiplier: number;
      readonly timeoffset: string;
      readonly video_mib: number;
      readonly video: 'Cirrus' | 'Standard_VGA';
      readonly acpi: boolean;
      readonly serial?: string;
      readonly keymap?: string;
      /** Letters tried in turn: c disk, d CD, n network. */
      readonly boot_order: string;
      readonly firmware: 'Bios' | 'Uefi';
      /** The uuid of its TPM. */
      readonly tpm?: string;
    }
  | {
      readonly type: 'PV' | 'PVinPVH' | 'PVH';
      readonly kernel:
        | {
            readonly how: 'Direct';
            readonly kernel: string;
            readonly cmdline: string;
            readonly ramdisk?: string;
          }
        | {
            readonly how: 'Indirect';
            readonly bootloader: string;
            readonly extra_args: string;
            readonly legacy_args: string;
            readonly bootloader_args: string;
            readonly devices: readonly XenopsDisk[];
          };
    };

export interface Vbd {
  readonly id: DeviceId;
  /** Device number: 0 is the first disk. */
  readonly position: number;
  readonly mode: 'ReadOnly' | 'ReadWrite';
  /** Absent: an empty drive. */
  readonly backend?: XenopsDisk;
  readonly ty: 'CDROM' | 'Disk' | 'Floppy';
  readonly unpluggable: boolean;
  readonly persistent: boolean;
}

export interface DeviceState {
  readonly active: boolean;
  readonly plugged: boolean;
}

export interface VbdState extends DeviceState {
  /** What the drive has, or would have at the VM's next start. */
  readonly disk?: XenopsDisk;
}

export interface Vif {
  readonly id: DeviceId;
  readonly position: number;
  readonly mac: string;
  readonly carrier: boolean;
  readonly mtu: number;
  /** Name of the bridge. */
  readonly backend: string;
  readonly other_config: ReadonlyMap<string, string>;
  readonly locking_mode:
    | 'Unlocked'
    | 'Disabled'
    | { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
}

export interface XenopsMetadata {
  readonly vm: Vm;
  readonly vbds: readonly Vbd[];
  readonly vifs: readonly Vif[];
  /** The daemon's own opaque note of a suspended or migrating VM. */
  readonly domains?: string;
}

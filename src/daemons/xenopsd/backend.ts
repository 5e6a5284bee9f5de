import type { Capabilities } from '../../drivers/capabilities.ts';
import type {
  DeviceId,
  GuestTrigger,
  Kept,
  ScriptOutcome,
  Vbd,
  Vif,
  Vm,
  XenopsConsole,
} from '../../drivers/hypervisor/hypervisor.ts';

import type { CpuFeatures } from '../../std/cpu-features.ts';

/**
 * One guest technology behind the xenopsd protocol. The daemon's core owns protocol, queues, tasks,
 * updates, metadata files and storage; a backend owns guests. Calls about one VM come one at a time.
 */
export interface Backend {
  readonly name: string;
  readonly version: string;
  readonly features: readonly string[];
  capabilities(): Promise<Capabilities>;
  /** What every guest can be asked for, with or without an agent in it, in the words of an agent. */
  readonly guestFeatures?: ReadonlyMap<string, string>;
  /** Finds the guests that outlived the daemon. Called once, before anything else. */
  recover(known: readonly Vm[], report: Report): Promise<readonly Guest[]>;
  /** Builds the guest with its devices and leaves it paused. On failure nothing of it is left. */
  create(spec: GuestSpec, work: BackendWork): Promise<Guest>;
  unpause(vm: string): Promise<void>;
  pause(vm: string): Promise<void>;
  /** Asks the guest to power off or to reboot itself; resolves once it was asked, not once it did. */
  ask(vm: string, what: 'poweroff' | 'reboot'): Promise<void>;
  /** Ends the guest and removes what it left. One that is gone is success. */
  destroy(vm: string): Promise<void>;
  /** Writes the guest's memory and state to `path` and ends it. */
  suspend(vm: string, path: string, work: SuspendWork): Promise<void>;
  /**
   * What the guest's devices keep from one run to the next, as it is now, also of a guest that has ended and
   * was not destroyed.
   */
  kept(vm: string): Promise<Kept>;
  /** Like `create`, from what `suspend` wrote; leaves the guest paused. */
  resume(spec: GuestSpec, path: string, work: BackendWork): Promise<Guest>;
  /**
   * Lets the running guest flow into `write` while it runs, and resolves with it stopped and its disks let
   * go of, which `unpause` ends. On failure it runs on as before.
   */
  send(vm: string, write: (piece: Uint8Array) => Promise<void>, work: BackendWork): Promise<void>;
  /**
   * Like `create`, of what `send` wrote. The guest holds none of its disks and stands still until `arrive`.
   */
  receive(spec: GuestSpec, pieces: AsyncIterable<Uint8Array>, work: BackendWork): Promise<Guest>;
  /** Lets a received guest take its disks and run. Rejects only when it has not run. */
  arrive(vm: string): Promise<void>;
  plugVbd(vm: string, disk: GuestDisk): Promise<void>;
  unplugVbd(vm: string, id: DeviceId, force: boolean): Promise<void>;
  /** Puts a medium into a CD drive, or with `undefined` takes it out. */
  changeMedium(vm: string, id: DeviceId, disk: GuestDisk | undefined): Promise<void>;
  /** The storage has put an image on top of the one that the guest has, for it to write to from now on. */
  overlayVbd(vm: string, disk: GuestDisk): Promise<void>;
  /** Copies a disk while its guest runs; resolves when the guest has the copy and not the disk any more. */
  mirrorVbd(vm: string, from: GuestDisk, into: GuestDisk, work: MirrorWork): Promise<void>;
  /**
   * Where the image is that the disk of a guest stands on, as `overlayVbd` or `mirrorVbd` have left it,
   * however far they came; undefined: what the disk began with.
   */
  imageOf(vm: string, id: DeviceId): Promise<string | undefined>;
  /** A disk is to have this size, which the guest is told. */
  growVbd(vm: string, id: DeviceId, sizeBytes: bigint): Promise<void>;
  plugVif(vm: string, vif: Vif): Promise<void>;
  unplugVif(vm: string, id: DeviceId, force: boolean): Promise<void>;
  /** Moves a plugged VIF to another bridge. */
  moveVif(vm: string, vif: Vif, bridge: string): Promise<void>;
  /** What a plugged VIF may send, which `vif` says as it is to be. */
  lockVif(vm: string, vif: Vif): Promise<void>;
  /** Changes how many vCPUs a guest has while it is there. A backend without it cannot. */
  setVcpus?(vm: string, count: number): Promise<void>;
  /** Changes a guest's memory while it is there; answers what it has now. A backend without it cannot. */
  setMemory?(vm: string, minimum: bigint, maximum: bigint): Promise<bigint>;
  /** Changes how much memory the host keeps for the guest's page tables. Absent: it keeps none. */
  setShadowMultiplier?(vm: string, multiplier: number): Promise<void>;
  /** Presses the magic key with this letter or digit. */
  sendSysrq(vm: string, key: string): Promise<void>;
  /** Makes this happen to the machine. */
  sendTrigger(vm: string, trigger: GuestTrigger): Promise<void>;
  /** Has the guest's agent let people in by remote desktop, or not any more. */
  requestRdp(vm: string, enabled: boolean): Promise<void>;
  /** Has the guest's agent run a script to its end. */
  runScript(vm: string, script: string, signal: AbortSignal): Promise<ScriptOutcome>;
  /** A command of DEBUG.trigger; false when the backend does not know it. */
  trigger?(command: string, args: readonly string[]): Promise<boolean>;
  /** Facts of the host for HOST.stat. */
  hostStat(): Promise<{
    readonly cpuCount: number;
    readonly cpuModel: string;
    readonly hypervisorVersion: string;
    /** Of the processor that guests see; empty where that is not known. */
    readonly features: CpuFeatures;
  }>;
  /** The daemon ends; guests go on. */
  close(): Promise<void>;
}

export interface GuestSpec {
  readonly domid: number;
  readonly vm: Vm;
  readonly disks: readonly GuestDisk[];
  readonly vifs: readonly Vif[];
  /** What its devices have kept of an earlier run. Absent: nothing. */
  readonly kept?: Kept;
}

/** A device and where its bytes are. `path` undefined: an empty drive. */
export interface GuestDisk {
  readonly vbd: Vbd;
  readonly path: string | undefined;
  readonly format: 'raw' | 'qcow2';
  /** What the image stands on, the next first. */
  readonly backing?: readonly string[];
  /** Of what the server at the socket `path` has, over NBD. */
  readonly exportName?: string;
}

export interface Guest {
  readonly vm: string;
  readonly domid: number;
  readonly state: 'paused' | 'running';
  readonly consoles: readonly XenopsConsole[];
  readonly memoryActual: bigint;
  /** Of the processor that it sees, in words; empty where that is not known. */
  readonly features?: string;
  /** Seconds since 1970. */
  readonly startTime: number;
  readonly disks: readonly string[];
  readonly vifs: readonly string[];
}

/** What a guest did by itself; `lost`: it ended with the machine, which was started anew. */
export type Report = (
  vm: string,
  what: 'poweroff' | 'reboot' | 'crash' | 'lost' | { readonly guestAgent: ReadonlyMap<string, string> },
) => void;

export interface BackendWork {
  readonly signal: AbortSignal;
  readonly progress: (fraction: number) => void;
}

export interface SuspendWork extends BackendWork {
  /** Called once all is written and the guest stands still, before it ends. */
  readonly asleep?: () => Promise<void>;
}

export interface MirrorWork extends BackendWork {
  /** Called once the copy is whole and the guest stands still, before it gets the copy. */
  readonly whole: () => Promise<void>;
}

import { capabilitiesOf } from '../../drivers/capabilities.ts';
import {
  type DeviceId,
  type Hypervisor,
  type HypervisorHost,
  isMissing,
  type VmState,
  type XenopsDestination,
  XenopsError,
  type XenopsWork,
} from '../../drivers/hypervisor/hypervisor.ts';
import type { Endpoint, Network } from '../../drivers/network.ts';
import type { Turns } from '../../drivers/turns.ts';
import type { Clock } from '../../std/clock.ts';
import { parseFeatures } from '../../std/cpu-features.ts';
import type { Log } from '../../std/log.ts';
import { listOf, member, optional, optionalMember, required, stringOf, tupleOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';
import { xmlRpc, xmlRpcStream } from '../rpc.ts';
import { askingCalls } from './asking.ts';
import { type XenopsCall, xenopsCall } from './call.ts';
import { deviceStateOf, lockingValue, vbdStateOf, vbdValue, vifValue } from './devices.ts';
import { eventThread } from './event-thread.ts';
import { taskFollower } from './task-follower.ts';
import { metadataOf, metadataText, vmOf, vmStateOf } from './types.ts';
import { diskValue, keptOf } from './values.ts';

export interface XenopsdOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Log;
  /** The daemon's socket. */
  readonly endpoint: Endpoint;
  readonly path?: string;
  /** The daemon is one of ours, which takes all calls over one stream: when what waits for it goes out. */
  readonly nextTurn?: Turns['next'];
  /** The coordinator's epoch, which goes with every order: daemons of ours refuse those of earlier ones. */
  readonly epoch?: () => number;
}

/** What is asked without a task of the toolstack behind it. */
const DEBUG_INFO = 'xenact';

/** A xenopsd on the other side of a socket: the real one without a message switch, or one of ours. */
export const xenopsdHypervisor = ({
  network,
  clock,
  log,
  endpoint,
  path,
  nextTurn,
  epoch,
}: XenopsdOptions): Hypervisor => {
  const ways =
    nextTurn === undefined
      ? { rpc: xmlRpc(network, endpoint, path), close: () => {} }
      : xmlRpcStream({ network, clock, endpoint, nextTurn });
  const call = xenopsCall(ways.rpc);
  const order = epoch === undefined ? call : fenced(call, epoch);
  const tasks = taskFollower({ call, order, clock, log, isOurs: nextTurn !== undefined });

  const tell = (method: string, args: Readonly<Record<string, Value | undefined>>): Promise<void> =>
    order(method, DEBUG_INFO, args, () => {});
  const work = async (...args: Parameters<typeof tasks.run>): Promise<void> => {
    await tasks.run(...args);
  };
  const orMissing = async <T>(asked: Promise<T>): Promise<T | undefined> => {
    try {
      return await asked;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };
  const stat = (id: string): Promise<VmState | undefined> =>
    orMissing(call('VM.stat', DEBUG_INFO, { id }, (value) => vmStateOf(tupleOf(value, 2)[1] ?? null)));
  const statDevice = <T>(method: string, id: DeviceId, read: (value: Value) => T): Promise<T | undefined> =>
    orMissing(call(method, DEBUG_INFO, { id }, (value) => read(tupleOf(value, 2)[1] ?? null)));
  const events = eventThread({ call, stat, clock, log });

  return {
    query: () => call('query', DEBUG_INFO, { unit: null }, queryOf),
    hostStat: () => call('HOST.stat', DEBUG_INFO, {}, hostOf),
    importMetadata: (metadata, debugInfo) =>
      order('VM.import_metadata', debugInfo, { metadata: metadataText(metadata) }, stringOf),
    exportMetadata: (id, debugInfo) =>
      call('VM.export_metadata', debugInfo, { id }, (value) => metadataOf(stringOf(value))),
    kept: (id) => ifBuilt(call('VM.get_kept', DEBUG_INFO, { id }, keptOf), new Map()),
    setKept: (id, kept) => ifBuilt(tell('VM.set_kept', { id, kept }), undefined),
    stat,
    list: () => call('VM.list', DEBUG_INFO, { unit: null }, statesOf),
    remove: (id) => tell('VM.remove', { id }),

    start: (id, force, how) => work('VM.start', { id, paused: force }, how),
    unpause: (id, how) => work('VM.unpause', { id }, how),
    pause: (id, how) => work('VM.pause', { id }, how),
    shutdown: (id, timeoutS, how) => work('VM.shutdown', { id, delay: timeoutS }, how),
    reboot: (id, timeoutS, how) => work('VM.reboot', { id, delay: timeoutS }, how),
    suspend: (id, into, how) => work('VM.suspend', { id, suspend_vdi: diskValue(into) }, how),
    resume: (id, from, how) => work('VM.resume', { id, suspend_vdi: diskValue(from) }, how),
    migrate: (id, to, how) => work('VM.migrate', { id, ...destinationArgs(to) }, how),
    setVcpus: (id, count, how) => work('VM.set_vcpus', { id, vcpus: BigInt(count) }, how),
    setMemoryDynamicRange: (id, minimum, maximum, how) =>
      work('VM.set_memory_dynamic_range', { id, minimum, maximum }, how),
    turn: (id, how) => work('VM.delay', { id, delay: 0 }, how),
    setXsdata: (id, xsdata, how) => work('VM.set_xsdata', { id, xsdata }, how),

    ...askingCalls(tasks.run),
    ...deviceCalls({ tell, work, statDevice }),

    watch: events.watch,
    barrier: events.barrier,
    attend: events.attend,
    reportAgain: events.again,
    refresh: (id) => tell('UPDATES.refresh_vm', { id }),
    close: async () => {
      await Promise.all([tasks.close(), events.close()]);
      ways.close();
    },
  };
};

/** Daemons of a Xen host have other ways for what not all of them are asked. */
const ifBuilt = async <T>(answer: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof XenopsError && error.tag === 'Unimplemented') return otherwise;
    throw error;
  }
};

type DeviceCalls = Pick<
  Hypervisor,
  Extract<keyof Hypervisor, `${string}Vbd` | `${string}Vif` | 'setVifLocking'>
>;

const deviceCalls = (by: {
  readonly tell: (method: string, args: Readonly<Record<string, Value | undefined>>) => Promise<void>;
  readonly work: (
    method: string,
    args: Readonly<Record<string, Value | undefined>>,
    how: XenopsWork,
  ) => Promise<void>;
  readonly statDevice: <T>(method: string, id: DeviceId, read: (value: Value) => T) => Promise<T | undefined>;
}): DeviceCalls => {
  const { tell, work, statDevice } = by;
  return {
    addVbd: (vbd) => tell('VBD.add', { vbd: vbdValue(vbd) }),
    removeVbd: (id) => tell('VBD.remove', { id }),
    plugVbd: (id, how) => work('VBD.plug', { id }, how),
    unplugVbd: (id, force, how) => work('VBD.unplug', { id, force }, how),
    insertVbd: (id, disk, how) => work('VBD.insert', { id, disk: diskValue(disk) }, how),
    ejectVbd: (id, how) => work('VBD.eject', { id }, how),
    overlayVbd: (id, how) => work('VBD.overlay', { id }, how),
    mirrorVbd: (id, disk, how) => work('VBD.mirror', { id, disk: diskValue(disk) }, how),
    growVbd: (id, size, how) => work('VBD.grow', { id, size }, how),
    statVbd: (id) => statDevice('VBD.stat', id, vbdStateOf),
    addVif: (vif) => tell('VIF.add', { vif: vifValue(vif) }),
    removeVif: (id) => tell('VIF.remove', { id }),
    plugVif: (id, how) => work('VIF.plug', { id }, how),
    unplugVif: (id, force, how) => work('VIF.unplug', { id, force }, how),
    moveVif: (id, bridge, how) => work('VIF.move', { id, network: ['Local', bridge] }, how),
    setVifLocking: (id, mode, how) =>
      work('VIF.set_locking_mode', { id, locking_mode: lockingValue(mode) }, how),
    statVif: (id) => statDevice('VIF.stat', id, deviceStateOf),
  };
};

/** The number is the last part of the first line; what follows that line is the context of a trace. */
const fenced =
  (call: XenopsCall, epoch: () => number): XenopsCall =>
  (method, debugInfo, ...rest) => {
    const [line = '', ...trace] = debugInfo.split('\n');
    return call(method, [`${line}|epoch:${epoch()}`, ...trace].join('\n'), ...rest);
  };

const destinationArgs = (to: XenopsDestination): Readonly<Record<string, Value>> => ({
  vdi_map: to.vdiMap ?? new Map(),
  vif_map: new Map([...(to.vifMap ?? [])].map(([key, bridge]): [string, Value] => [key, ['Local', bridge]])),
  pci_map: new Map(),
  xenops_url: to.url,
  compress: to.compress ?? false,
  verify_dest: to.verifyDest ?? false,
  localhost_migration: false,
});

const queryOf = (value: Value): Awaited<ReturnType<Hypervisor['query']>> => ({
  name: stringOf(member(value, 'name'), 'name'),
  version: stringOf(member(value, 'version'), 'version'),
  features: listOf(member(value, 'features'), 'features').map((each) => stringOf(each, 'features')),
  instanceId: stringOf(member(value, 'instance_id'), 'instance_id'),
  capabilities: capabilitiesOf(optionalMember(value, 'capabilities') ?? new Map()),
});

const featureKeys = ['features', 'features_hvm', 'features_hvm_host', 'features_pv', 'features_pv_host'];

const hostOf = (value: Value): HypervisorHost => {
  const processor = member(value, 'cpu_info');
  const features = featureKeys.flatMap((key): [string, string][] => {
    const words = optional(processor, key, stringOf);
    return words === undefined || parseFeatures(words) === undefined ? [] : [[key, words]];
  });
  const version = required(member(value, 'hypervisor'), 'version', stringOf);
  return { version: version.slice(0, versionMax), features: new Map(features) };
};

const versionMax = 128;

const statesOf = (value: Value): readonly { readonly id: string; readonly state: VmState }[] =>
  listOf(value).map((pair) => {
    const [vm = null, state = null] = tupleOf(pair, 2);
    return { id: vmOf(vm).id, state: vmStateOf(state) };
  });

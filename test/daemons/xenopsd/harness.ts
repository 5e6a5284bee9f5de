import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach } from 'vitest';
import { readXmlRpcCall } from '../../../src/codec/xmlrpc-reader.ts';
import { xmlFailureValue, xmlSuccess, xmlValue } from '../../../src/codec/xmlrpc-writer.ts';
import type { Backend } from '../../../src/daemons/xenopsd/backend.ts';
import { type Daemon, type DaemonOptions, xenopsDaemon } from '../../../src/daemons/xenopsd/server.ts';
import { simBackend } from '../../../src/daemons/xenopsd/sim.ts';
import type { SimConfig } from '../../../src/daemons/xenopsd/sim-config.ts';
import { openSimGuests } from '../../../src/daemons/xenopsd/sim-guests.ts';
import type { Disk, OpenFile } from '../../../src/drivers/disk.ts';
import type {
  Hypervisor,
  Vbd,
  Vif,
  Vm,
  VmState,
  XenopsMetadata,
  XenopsWork,
} from '../../../src/drivers/hypervisor/hypervisor.ts';
import type { Network, Serving } from '../../../src/drivers/network.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../../src/drivers/node/random.ts';
import { nodeTurns } from '../../../src/drivers/node/turns.ts';
import type { Processes } from '../../../src/drivers/processes.ts';
import { type Rpc, xmlRpc } from '../../../src/rpc/rpc.ts';
import { xenopsdHypervisor } from '../../../src/rpc/xenops/xenopsd.ts';
import type { Clock } from '../../../src/std/clock.ts';
import { type Log, silentLog } from '../../../src/std/log.ts';
import { member, optionalMember, stringOf } from '../../../src/std/reader.ts';
import { struct, type Value } from '../../../src/std/value.ts';

/** A folder for one test and what has to be ended after it, newest first. */
export interface Bench {
  readonly folder: string;
  readonly path: (name: string) => string;
  readonly later: (end: () => unknown) => void;
}

export const useBench = (): (() => Bench) => {
  let bench: Bench;
  let ends: (() => unknown)[] = [];
  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xo-'));
    ends = [() => rm(folder, { recursive: true })];
    bench = { folder, path: (name) => join(folder, name), later: (end) => ends.push(end) };
  });
  afterEach(async () => {
    for (const end of ends.reverse()) await end();
  });
  return () => bench;
};

export const promised = <T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } => {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

export interface FakeStorage {
  /** `VDI.attach3 vbd/1/hda`, in the order in which they came. */
  readonly calls: string[];
  /** What an attach answers by the location of the disk; a raw file if it is not here. */
  readonly places: Map<string, Value>;
  /** The error that a call such as `VDI.activate3 <location>` is refused with. */
  readonly refusals: Map<string, Value>;
}

/** SMAPIv2 on a socket, as far as a guest's disks need it. */
export const serveStorage = async (bench: Bench): Promise<FakeStorage> => {
  const storage: FakeStorage = { calls: [], places: new Map(), refusals: new Map() };
  const serving = await nodeNetwork.serve(
    { socketPath: bench.path('storage') },
    async ({ body }) => ({ status: 200, contentType: 'text/xml', body: storageAnswer(bench, storage, body) }),
    { bodyMax: 1_000_000 },
  );
  bench.later(() => serving.close());
  return storage;
};

const storageAnswer = (bench: Bench, storage: FakeStorage, body: string): string => {
  const { method, params } = readXmlRpcCall(body);
  const args = params[0] ?? null;
  const vdi = stringOf(member(args, 'vdi'));
  const dp = stringOf(optionalMember(args, 'dp') ?? vdi);
  const rights = method === 'VDI.attach3' && member(args, 'read_write') === false ? ' read-only' : '';
  storage.calls.push(`${method} ${dp}${rights}`);
  const refusal = storage.refusals.get(`${method} ${vdi}`);
  if (refusal !== undefined) return xmlFailureValue(refusal);
  if (method !== 'VDI.attach3') return xmlSuccess(xmlValue(null));
  const file: Value = ['File', struct({ path: bench.path(vdi) })];
  return xmlSuccess(xmlValue(storage.places.get(vdi) ?? struct({ implementations: [file] })));
};

export interface Running {
  readonly daemon: Daemon;
  /** Ends it as SIGKILL would: nothing more of it is written, sent or answered. */
  kill(): Promise<void>;
}

export interface Machinery {
  readonly network: Network;
  readonly disk: Disk;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
}

export const startDaemon = async (
  bench: Bench,
  config: SimConfig = {},
  more: Partial<DaemonOptions> = {},
  backendOf: (basics: Machinery) => Backend | Promise<Backend> = async (basics) =>
    simBackend({
      ...basics,
      guests: await openSimGuests({ ...basics, state: bench.path('state/sim') }),
      config,
    }),
): Promise<Running> => {
  const { kill, ...machinery } = mortal();
  const basics = { ...machinery, clock: nodeClock, log: silentLog };
  const daemon = await xenopsDaemon({
    ...basics,
    backend: await backendOf(basics),
    random: nodeRandom,
    endpoint: { socketPath: bench.path('xenopsd') },
    storage: { socketPath: bench.path('storage') },
    state: bench.path('state'),
    restarts: { ranMsMin: 0, delayMs: 0 },
    nextTurn: nodeTurns.next,
    ...more,
  });
  let dead = false;
  bench.later(() => (dead ? undefined : daemon.close()));
  return {
    daemon,
    kill: () => {
      dead = true;
      return kill();
    },
  };
};

/** Adapters of a process that can be killed inside this one. */
const mortal = (): Pick<Machinery, 'network' | 'disk' | 'processes'> & {
  readonly kill: () => Promise<void>;
} => {
  let dead = false;
  const servings: Serving[] = [];
  const streams: Duplex[] = [];
  const files = new Set<OpenFile>();
  const closed = async (file: OpenFile): Promise<void> => {
    if (files.delete(file)) await file.close();
  };
  const alive =
    <Args extends unknown[], T>(run: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      if (dead) return new Promise<T>(() => {});
      const result = await run(...args);
      return dead ? new Promise<T>(() => {}) : result;
    };
  const opened = async (opening: Promise<Duplex>): Promise<Duplex> => {
    const stream = await opening;
    if (dead) stream.destroy();
    streams.push(stream);
    return stream;
  };
  const served = async (opening: Promise<Serving>): Promise<Serving> => {
    const serving = await opening;
    servings.push(serving);
    return serving;
  };
  return {
    network: {
      post: alive(nodeNetwork.post),
      connect: alive((to, limits) => opened(nodeNetwork.connect(to, limits))),
      openStream: alive((to, path, limits) => opened(nodeNetwork.openStream(to, path, limits))),
      serve: (on, handle, limits) => served(nodeNetwork.serve(on, alive(handle), limits)),
      listen: alive((on, handle, limits) => served(nodeNetwork.listen(on, handle, limits))),
    },
    disk: {
      ...nodeDisk,
      replaceText: alive(nodeDisk.replaceText),
      remove: alive(nodeDisk.remove),
      makeFolder: alive(nodeDisk.makeFolder),
      open: alive(async (path, how) => {
        const file = await nodeDisk.open(path, how);
        files.add(file);
        return { ...file, write: alive(file.write), close: () => closed(file) };
      }),
    },
    processes: {
      ...nodeProcesses,
      detach: alive(nodeProcesses.detach),
      signal: (pid, name) => (dead ? undefined : nodeProcesses.signal(pid, name)),
    },
    kill: async () => {
      dead = true;
      for (const stream of streams) stream.destroy();
      await Promise.all([...servings.map((serving) => serving.close()), ...[...files].map(closed)]);
    },
  };
};

export const connectClient = (bench: Bench): Hypervisor => {
  const client = xenopsdHypervisor({
    network: nodeNetwork,
    clock: nodeClock,
    log: silentLog,
    endpoint: { socketPath: bench.path('xenopsd') },
    nextTurn: nodeTurns.next,
  });
  bench.later(() => client.close());
  return client;
};

export const rawClient = (bench: Bench): Rpc => xmlRpc(nodeNetwork, { socketPath: bench.path('xenopsd') });

export const trigger = (bench: Bench, cmd: string, ...args: readonly string[]): Promise<Value> =>
  rawClient(bench)('DEBUG.trigger', struct({ debug_info: 'test', cmd, args }));

export const work = (more: Partial<XenopsWork> = {}): XenopsWork => ({
  debugInfo: 'test',
  signal: new AbortController().signal,
  progress: () => {},
  ...more,
});

export const vmNamed = (id: string, more: Partial<Vm> = {}): Vm => ({
  id,
  name: `guest ${id}`,
  xsdata: new Map([['vm-data', '']]),
  platformdata: new Map([['acpi', '1']]),
  bios_strings: new Map(),
  boot: {
    type: 'HVM',
    hap: true,
    shadow_multiplier: 1,
    timeoffset: '0',
    video_mib: 8,
    video: 'Cirrus',
    acpi: true,
    serial: 'pty',
    boot_order: 'cd',
    firmware: 'Bios',
  },
  memory_static_max: 1n << 28n,
  memory_dynamic_max: 1n << 28n,
  memory_dynamic_min: 1n << 27n,
  vcpu_max: 4,
  vcpus: 2,
  scheduler_params: { priority: [256, 0], affinity: [] },
  on_crash: ['Start'],
  on_shutdown: ['Shutdown'],
  on_reboot: ['Start'],
  on_softreboot: ['Softreboot'],
  has_vendor_device: false,
  ...more,
});

export const diskOf = (vm: string, device: string, more: Partial<Vbd> = {}): Vbd => ({
  id: [vm, device],
  position: device.charCodeAt(device.length - 1) - 'a'.charCodeAt(0),
  mode: 'ReadWrite',
  backend: ['VDI', `sr/${vm}-${device}`],
  ty: 'Disk',
  unpluggable: true,
  persistent: true,
  ...more,
});

export const driveOf = (vm: string, device: string): Vbd => {
  const { backend: _, ...drive } = diskOf(vm, device, { mode: 'ReadOnly', ty: 'CDROM' });
  return drive;
};

export const cardOf = (vm: string, device: string): Vif => ({
  id: [vm, device],
  position: Number(device),
  mac: '00:16:3e:00:00:01',
  carrier: true,
  mtu: 1500,
  backend: 'xenbr0',
  other_config: new Map(),
  locking_mode: 'Unlocked',
});

export const metadataOf = (vm: Vm, vbds: readonly Vbd[] = [], vifs: readonly Vif[] = []): XenopsMetadata => ({
  vm,
  vbds,
  vifs,
});

/** Follows one client's reports, so that tests can wait for what they expect. */
export const watchStates = (
  client: Hypervisor,
): {
  /** Every state reported, such as `a Running`; `a gone` for a VM that is not known any more. */
  readonly seen: string[];
  /** Resolves once `text` is reported, after this call. */
  readonly next: (text: string) => Promise<void>;
  readonly latest: Map<string, VmState | undefined>;
} => {
  const seen: string[] = [];
  const latest = new Map<string, VmState | undefined>();
  const waiting = new Set<{ readonly text: string; readonly resolve: () => void }>();
  const say = async (text: string): Promise<void> => {
    seen.push(text);
    for (const each of [...waiting]) {
      if (each.text === text && waiting.delete(each)) each.resolve();
    }
  };
  client.watch({
    onVm: (vm, state) => {
      latest.set(vm, state);
      return say(`${vm} ${state?.power_state ?? 'gone'}`);
    },
    onVbd: ([vm, device]) => say(`${vm} disk ${device}`),
    onVif: ([vm, device]) => say(`${vm} card ${device}`),
    onReconnect: () => say('reconnected'),
    onLost: () => void say('lost'),
  });
  return {
    seen,
    latest,
    next: (text) => new Promise((resolve) => waiting.add({ text, resolve })),
  };
};

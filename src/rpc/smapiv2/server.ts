import { variant } from '../../codec/rpclib.ts';
import { readXmlRpcCall, type XmlRpcCall } from '../../codec/xmlrpc-reader.ts';
import { xmlFailureValue, xmlSuccess, xmlValue } from '../../codec/xmlrpc-writer.ts';
import type { Endpoint, Network, Serving } from '../../drivers/network.ts';
import { type DatapathUse, HOST_DOMAIN, type VolumeName } from '../../drivers/storage/datapath-holdings.ts';
import { shown } from '../../drivers/storage/datapath-state.ts';
import type { HostStorage } from '../../drivers/storage/host-storage.ts';
import { type StorageCall, StorageError } from '../../drivers/storage/storage.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import type { Log } from '../../std/log.ts';
import { boolOf, member, stringOf } from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import { srInfo, storageErrorValue, vdiInfo } from './values.ts';

const REQUEST_BYTES_MAX = 1024 * 1024;
const CONTENT_TYPE = 'text/xml';

/**
 * SMAPIv2 for the hypervisor daemon of this host, in rpclib's XML-RPC: where a guest's disks are, and
 * their attach, activate, deactivate and detach. SRs and volumes are made by the toolstack, not here.
 */
export const serveSmapiv2 = (given: {
  readonly network: Network;
  readonly endpoint: Endpoint;
  readonly storage: HostStorage;
  readonly log: Log;
}): Promise<Serving> => {
  const methods = methodsOf(given.storage);

  const answer = async ({ method, params }: XmlRpcCall, signal: AbortSignal): Promise<string> => {
    try {
      const run = methods.get(method);
      if (run === undefined) return xmlFailureValue(variant('Unimplemented', method));
      const [args = struct({})] = params;
      const debugInfo = stringOf(member(args, 'dbg'), 'dbg');
      return xmlSuccess(xmlValue(await run(args, { debugInfo, ...taskIn(debugInfo), signal })));
    } catch (error) {
      if (signal.aborted) return xmlFailureValue(variant('Cancelled', method));
      const known = storageErrorValue(error);
      if (known !== undefined) return xmlFailureValue(known);
      given.log.error({ method, error }, 'a storage call failed for a reason that is nobody’s refusal');
      return xmlFailureValue(
        variant('Internal_error', error instanceof Error ? error.message : String(error)),
      );
    }
  };

  return given.network.serve(
    given.endpoint,
    async ({ method, body, signal }) => {
      if (method !== 'POST') return { status: 405, contentType: 'text/plain', body: 'Send a POST' };
      try {
        const call = readXmlRpcCall(body);
        return { status: 200, contentType: CONTENT_TYPE, body: await answer(call, signal) };
      } catch (error) {
        if (!(error instanceof DecodeFailure)) throw error;
        return { status: 400, contentType: 'text/plain', body: error.message };
      }
    },
    { bodyMax: REQUEST_BYTES_MAX },
  );
};

/** Debug information of ours begins with the task that the call is a part of. */
const taskIn = (debugInfo: string): Pick<StorageCall, 'task'> => {
  const [task = ''] = debugInfo.split('|');
  return /^OpaqueRef:[0-9a-f-]{36}$/.test(task) ? { task } : {};
};

type Method = (args: Value, call: StorageCall) => Promise<Value>;

const text = (args: Value, name: string): string => stringOf(member(args, name), name);
const flag = (args: Value, name: string): boolean => boolOf(member(args, name), name);
const volumeIn = (args: Value): VolumeName => ({ sr: text(args, 'sr'), key: text(args, 'vdi') });
const useIn = (args: Value): DatapathUse => ({
  ...volumeIn(args),
  datapath: text(args, 'dp'),
  vm: text(args, 'vm'),
});
/** Of calls from before there were other domains than this host's. */
const hostUseIn = (args: Value): DatapathUse => ({
  ...volumeIn(args),
  datapath: text(args, 'dp'),
  vm: HOST_DOMAIN,
});

/** The answer of a call that says no more than that it is done. */
const nothing = async (work: Promise<unknown>): Promise<Value> => {
  await work;
  return null;
};

const methodsOf = (storage: HostStorage): ReadonlyMap<string, Method> =>
  new Map<string, Method>([
    ['Query.query', async () => aboutThis],
    ['Query.diagnostics', async () => diagnostics(storage)],
    ...datapathMethods(storage),
    ...readMethods(storage),
  ]);

const datapathMethods = (storage: HostStorage): readonly (readonly [string, Method])[] => {
  const { datapathsOf: datapaths } = storage;

  const attached = (use: DatapathUse): DatapathUse => {
    if (!storage.isSrAttached(use.sr)) throw new StorageError('SR_NOT_ATTACHED', [use.sr]);
    return use;
  };

  type ReadUse = (args: Value) => DatapathUse;
  const attach =
    (read: ReadUse): Method =>
    async (args, call) =>
      datapaths.attach(attached(read(args)), flag(args, 'read_write') ? 'RW' : 'RO', call);
  const activate =
    (read: ReadUse): Method =>
    (args, call) =>
      nothing(datapaths.activate(attached(read(args)), call));

  return [
    // A datapath begins with its first use; its name is all there is to make.
    ['DP.create', async (args) => text(args, 'id')],
    [
      'DP.destroy',
      (args, call) => nothing(datapaths.destroy(text(args, 'dp'), flag(args, 'allow_leak'), call)),
    ],
    [
      'DP.destroy2',
      (args, call) =>
        nothing(datapaths.destroy(text(args, 'dp'), flag(args, 'allow_leak'), call, volumeIn(args))),
    ],
    ['DP.attach_info', async (args) => attachInfo(storage, volumeIn(args))],
    ['DP.stat_vdi', async (args) => statVdi(storage, volumeIn(args))],
    ['DP.diagnostics', async () => diagnostics(storage)],
    ['VDI.attach3', attach(useIn)],
    ['VDI.activate3', activate(useIn)],
    // Whether it is for reading was said at attach.
    ['VDI.activate_readonly', activate(useIn)],
    ['VDI.attach2', attach(hostUseIn)],
    ['VDI.activate', activate(hostUseIn)],
    ['VDI.deactivate', (args, call) => nothing(datapaths.deactivate(useIn(args), call))],
    ['VDI.detach', (args, call) => nothing(datapaths.detach(useIn(args), call))],
    [
      'VDI.epoch_begin',
      (args, call) => nothing(storage.beginEpoch(volumeIn(args), flag(args, 'persistent'), call)),
    ],
    ['VDI.epoch_end', (args, call) => nothing(storage.endEpoch(volumeIn(args), call))],
  ];
};

const readMethods = (storage: HostStorage): readonly (readonly [string, Method])[] => [
  ['SR.list', async () => storage.attachedSrs()],
  [
    'SR.stat',
    async (args, call) => {
      const sr = text(args, 'sr');
      return srInfo(sr, await storage.statSr(sr, call));
    },
  ],
  ['SR.scan', async (args, call) => (await storage.scanSr(text(args, 'sr'), call)).volumes.map(vdiInfo)],
  [
    'SR.scan2',
    async (args, call) => {
      const sr = text(args, 'sr');
      const { volumes, stat } = await storage.scanSr(sr, call);
      return [volumes.map(vdiInfo), srInfo(sr, stat)];
    },
  ],
  [
    'VDI.stat',
    async (args, call) => {
      const { sr, key } = volumeIn(args);
      return vdiInfo(await storage.statVolume(sr, key, call));
    },
  ],
  [
    'VDI.get_by_name',
    async (args, call) => {
      const [sr, name] = [text(args, 'sr'), text(args, 'name')];
      const { volumes } = await storage.scanSr(sr, call);
      const found = volumes.find(({ key, uuid, keys }) => [key, uuid, keys.get('content_id')].includes(name));
      if (found === undefined) throw new StorageError('VDI_MISSING', [sr, name]);
      return vdiInfo(found);
    },
  ],
];

const aboutThis: Struct = struct({
  driver: 'mux',
  name: 'storage',
  description: 'Storage of this host',
  vendor: 'Xenact',
  copyright: '',
  version: '1.0',
  required_api_version: '2.0',
  smapi_version: 'SMAPIv2',
  features: [],
  configuration: struct({}),
  required_cluster_stack: [],
});

const attachInfo = (storage: HostStorage, volume: VolumeName): Value => {
  const backend = storage.datapathsOf.backendOf(volume);
  if (backend !== undefined) return backend;
  throw new StorageError('SR_BACKEND_FAILURE', ['The volume is not attached', volume.sr, volume.key]);
};

const statVdi = (storage: HostStorage, volume: VolumeName): Struct => {
  const { states, superstate } = storage.datapathsOf.statesOf(volume);
  return struct({ superstate, dps: new Map<string, Value>(states) });
};

const diagnostics = (storage: HostStorage): string =>
  [
    ...storage.attachedSrs().map((sr) => `SR ${sr} is attached`),
    ...storage.datapathsOf.held().flatMap(({ sr, key, states, leaked }) =>
      [...states].map(([datapath, state]) => {
        const left = leaked.has(datapath) ? ', which could not be ended yet' : '';
        return `Volume ${key} of SR ${sr} is ${shown(state)} for ${datapath}${left}`;
      }),
    ),
  ].join('\n');

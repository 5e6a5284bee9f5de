import { readXmlRpcCall } from '../../codec/xmlrpc-reader.ts';
import { xmlFailureValue, xmlSuccess, xmlValue } from '../../codec/xmlrpc-writer.ts';
import type { Disk } from '../../drivers/disk.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import type { Endpoint, Network, PostHandler } from '../../drivers/network.ts';
import type { Turns } from '../../drivers/turns.ts';
import { callStreamPath, serveCallStream } from '../../rpc/call-stream.ts';
import { errorValue } from '../../rpc/xenops/tasks.ts';
import type { Clock, Random } from '../../std/clock.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import type { Log } from '../../std/log.ts';
import { optionalMember, stringOf, structOf } from '../../std/reader.ts';
import { struct } from '../../std/value.ts';
import type { Backend } from './backend.ts';
import type { Core, DaemonMethod, RestartDelay } from './core.ts';
import { openEpochs } from './epochs.ts';
import { followGuests } from './guests.ts';
import { openJournal } from './journal.ts';
import { methodTable } from './methods.ts';
import { followDoubts } from './migration/doubts.ts';
import { openHandovers } from './migration/handovers.ts';
import { memoryStreams } from './migration/methods.ts';
import { vmQueues } from './queues.ts';
import { diskStorage } from './storage.ts';
import { taskTable } from './tasks.ts';
import { updatesLog } from './updates.ts';
import { openVmEntries } from './vm-entries.ts';

export interface DaemonOptions {
  readonly backend: Backend;
  readonly network: Network;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where it listens. */
  readonly endpoint: Endpoint;
  /** Where SMAPIv2 is spoken. */
  readonly storage: Endpoint;
  /** A folder of its own, made if it is missing. */
  readonly state: string;
  readonly restarts?: RestartDelay;
  /** Absent: calls are posted one by one. */
  readonly nextTurn?: Turns['next'];
  /** A client asked the daemon to end. */
  readonly onStop?: () => void;
}

export interface Daemon {
  readonly endpoint: Endpoint;
  /** Cancels what runs, waits for it to be undone and stops listening. Guests go on. */
  close(): Promise<void>;
}

/** Operations of one VM that wait for their turn; one more is refused. */
const WAITING_MAX = 100;
/** A call holds at most one VM's metadata. */
const BODY_MAX = 4 * 1024 * 1024;
const RESTARTS: RestartDelay = { ranMsMin: 120_000, delayMs: 15_000 };

/** A xenopsd: its protocol on a socket, its VMs in a folder, its guests in a backend. */
export const xenopsDaemon = async (options: DaemonOptions): Promise<Daemon> => {
  const { backend, network, disk, clock, random, log, state, nextTurn } = options;
  await disk.makeFolder(state);
  const journal = await openJournal(disk, `${state}/vms.journal`, log);
  const updates = updatesLog(clock);
  const tasks = taskTable({
    clock,
    log,
    changed: (id, gone) => (gone ? updates.drop(['Task', id]) : updates.add(['Task', id])),
  });
  const core: Core = {
    backend,
    storage: diskStorage(network, options.storage),
    entries: openVmEntries(journal, log),
    queues: vmQueues(WAITING_MAX),
    updates,
    clock,
    log,
    restarts: options.restarts ?? RESTARTS,
    network,
    epochs: await openEpochs(disk, `${state}/epoch`),
    handovers: await openHandovers(disk, random, `${state}/handovers.json`),
  };
  const doubts = followDoubts(core);
  const guests = followGuests(core, doubts);
  await guests.recover();
  const methods = methodTable({
    core,
    tasks,
    doubts,
    instanceId: random.uuid(),
    stop: () => options.onStop?.(),
  });
  const memory = memoryStreams(core);
  const calls = (text: string, signal: AbortSignal): Promise<string> => answer(methods, core, text, signal);
  const serving = await network.serve(options.endpoint, handler(methods, core), {
    bodyMax: BODY_MAX,
    onStream: (path, stream) => {
      if (path !== callStreamPath) memory(path, stream);
      else if (nextTurn === undefined) stream.destroy();
      else serveCallStream({ stream, nextTurn, textBytesMax: BODY_MAX }, calls);
    },
  });
  return {
    endpoint: serving.endpoint,
    close: async () => {
      await tasks.close();
      await doubts.close();
      await guests.close();
      await serving.close();
      await backend.close();
      await journal.close();
    },
  };
};

const handler =
  (methods: ReadonlyMap<string, DaemonMethod>, core: Core): PostHandler =>
  async ({ method: verb, body, signal }) => {
    if (verb !== 'POST') return { status: 405, contentType: 'text/plain', body: 'POST an XML-RPC call\n' };
    return { status: 200, contentType: 'text/xml', body: await answer(methods, core, body, signal) };
  };

const answer = async (
  methods: ReadonlyMap<string, DaemonMethod>,
  { epochs, log }: Core,
  body: string,
  signal: AbortSignal,
): Promise<string> => {
  try {
    const { method: name, params } = readXmlRpcCall(body);
    const method = methods.get(name);
    if (method === undefined) throw new XenopsError('Unimplemented', [name]);
    const args = params[0] === undefined ? struct({}) : structOf(params[0], `what ${name} is called with`);
    const debugInfo = stringOf(optionalMember(args, 'debug_info') ?? '', 'debug_info');
    await epochs.admit(debugInfo);
    return xmlSuccess(xmlValue(await method(args, debugInfo, signal)));
  } catch (error) {
    if (error instanceof XenopsError) return xmlFailureValue(errorValue(error));
    if (!(error instanceof DecodeFailure)) log.error({ error }, 'a call failed');
    const message = error instanceof Error ? error.message : String(error);
    return xmlFailureValue(errorValue(new XenopsError('Internal_error', [message])));
  }
};

// Two hosts with simulated guests, a storage that both see, and the way between them, which a test can cut.
import { mkdir } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { readXmlRpcCall } from '../../../src/codec/xmlrpc-reader.ts';
import { xmlFailureValue, xmlSuccess, xmlValue } from '../../../src/codec/xmlrpc-writer.ts';
import type { Backend } from '../../../src/daemons/xenopsd/backend.ts';
import type { SimConfig } from '../../../src/daemons/xenopsd/sim-config.ts';
import type { Hypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { member, optionalMember, stringOf } from '../../../src/std/reader.ts';
import { struct, type Value } from '../../../src/std/value.ts';
import { type Bench, connectClient, type Machinery, type Running, startDaemon } from './harness.ts';

/** One storage of which two hosts attach the same disks. */
export interface SharedStorage {
  /** `a VDI.activate3 vbd/1/hda`, in the order in which they came. */
  readonly calls: string[];
  /** Each time that a disk became active for writing on a second host. */
  readonly clashes: string[];
  /** Disks that a host has attached, and those among them that are active. */
  readonly attached: (host: string) => string[];
  readonly active: (host: string) => string[];
  /** Refuses calls such as `b VDI.activate3` once for each time it is in here. */
  readonly refusals: string[];
}

export const sharedStorage = (): SharedStorage & { serve(bench: Bench, host: string): Promise<void> } => {
  const calls: string[] = [];
  const clashes: string[] = [];
  const refusals: string[] = [];
  const states = new Map<string, 'attached' | 'active'>();
  const of = (host: string, wanted: readonly string[]): string[] =>
    [...states]
      .filter(([key, state]) => key.startsWith(`${host} `) && wanted.includes(state))
      .map(([key]) => key.slice(host.length + 1));
  const answer = (bench: Bench, host: string, body: string): string => {
    const { method, params } = readXmlRpcCall(body);
    const args = params[0] ?? null;
    const vdi = stringOf(member(args, 'vdi'));
    const dp = stringOf(optionalMember(args, 'dp') ?? vdi);
    calls.push(`${host} ${method} ${dp}`);
    const refused = refusals.indexOf(`${host} ${method}`);
    if (refused >= 0) {
      refusals.splice(refused, 1);
      return xmlFailureValue(['Backend_error', ['SR_BACKEND_FAILURE', ['out of order']]]);
    }
    const key = `${host} ${vdi}`;
    if (method === 'VDI.attach3' && !states.has(key)) states.set(key, 'attached');
    if (method === 'VDI.activate3') {
      const others = [...states].filter(([each, state]) => each.endsWith(` ${vdi}`) && state === 'active');
      for (const [each] of others) if (each !== key) clashes.push(`${key} while ${each}`);
      states.set(key, 'active');
    }
    if (method === 'VDI.deactivate' && states.has(key)) states.set(key, 'attached');
    if (method === 'VDI.detach') states.delete(key);
    const file: Value = ['File', struct({ path: join(bench.folder, '..', vdi) })];
    return xmlSuccess(xmlValue(method === 'VDI.attach3' ? struct({ implementations: [file] }) : null));
  };
  return {
    calls,
    clashes,
    refusals,
    attached: (host) => of(host, ['attached', 'active']),
    active: (host) => of(host, ['active']),
    serve: async (bench, host) => {
      const serving = await nodeNetwork.serve(
        { socketPath: bench.path('storage') },
        async ({ body }) => ({ status: 200, contentType: 'text/xml', body: answer(bench, host, body) }),
        { bodyMax: 1_000_000 },
      );
      bench.later(() => serving.close());
    },
  };
};

/** Where a migration can be caught, in the order in which it passes. */
export const stops = [
  'begin asked',
  'begin answered',
  'import asked',
  'import answered',
  'memory asked',
  'memory half way',
  'memory loaded',
  'commit asked',
  'commit answered',
  'forget asked',
  'forget answered',
] as const;
export type Stop = (typeof stops)[number];

export interface Way {
  readonly url: string;
  /** At `stop`, once: what would have passed does not, all connections are cut, and `run` is called. */
  catchAt(stop: Stop, run: () => void): void;
  /** Cuts what is open and lets nothing through until it is mended. */
  cut(): void;
  mend(): void;
}

const questions = [
  ['<methodName>Migration.begin<', 'begin'],
  ['<methodName>VM.import_metadata<', 'import'],
  ['GET /memory/', 'memory'],
  ['<methodName>Migration.commit<', 'commit'],
  ['<methodName>Migration.abandon<', 'abandon'],
  ['<methodName>Migration.forget<', 'forget'],
] as const;
const HALF_BYTES = 40_000;

/** A socket of its own behind which the other daemon is, as a tunnel between hosts would be. */
export const wayTo = async (bench: Bench, target: string): Promise<Way> => {
  const open = new Set<Socket>();
  let mended = true;
  let caught: { readonly stop: Stop; readonly run: () => void } | undefined;
  const cutAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  /** True when the traveller ends here. */
  const passes = (stop: string): boolean => {
    if (caught?.stop !== stop) return true;
    const { run } = caught;
    caught = undefined;
    cutAll();
    run();
    return false;
  };
  const server = createServer((near) => {
    const far = connect(target);
    let asked = '';
    let step = '';
    let streamed = 0;
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    if (!mended) near.destroy();
    near.on('data', (bytes: Buffer) => {
      if (step === 'memory') {
        streamed += bytes.length;
        if (streamed > HALF_BYTES && !passes('memory half way')) return;
      } else {
        asked += bytes.toString('latin1');
        step = questions.find(([text]) => asked.includes(text))?.[1] ?? step;
        if (step !== '' && !passes(`${step} asked`)) return;
      }
      far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      if (step === 'memory') {
        if (bytes.includes('"Loaded"') && !passes('memory loaded')) return;
      } else {
        if (!passes(`${step} answered`)) return;
        asked = '';
        step = '';
      }
      near.write(bytes);
    });
  });
  const socketPath = bench.path('way');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  bench.later(() => {
    cutAll();
    server.close();
  });
  return {
    url: `http+unix://${encodeURIComponent(socketPath)}/`,
    catchAt: (stop, run) => {
      caught = { stop, run };
    },
    cut: () => {
      mended = false;
      cutAll();
    },
    mend: () => {
      mended = true;
    },
  };
};

export interface Side {
  readonly bench: Bench;
  readonly client: Hypervisor;
  start(config?: SimConfig): Promise<void>;
  kill(): void;
  /** Kills it, and starts it again on the same folder. */
  restart(config?: SimConfig): Promise<void>;
}

/** Waiting for what the other host does is made short: its deadlines pass a hundred times as fast. */
const hurriedClock = { ...nodeClock, monotonicMs: () => 100 * nodeClock.monotonicMs() };

export const sideOf = async (
  bench: Bench,
  name: string,
  storage: ReturnType<typeof sharedStorage>,
  backendOf?: (own: Bench, basics: Machinery) => Backend,
): Promise<Side> => {
  const folder = join(bench.folder, name);
  await mkdir(folder);
  const own: Bench = { folder, path: (each) => join(folder, each), later: bench.later };
  await storage.serve(own, name);
  let running: Running | undefined;
  let killed = Promise.resolve();
  const kill = (): void => {
    killed = running?.kill() ?? killed;
    running = undefined;
  };
  const start = async (config: SimConfig = {}): Promise<void> => {
    await killed;
    const backend = backendOf?.bind(undefined, own);
    running = await startDaemon(own, config, { clock: hurriedClock }, backend);
  };
  return {
    bench: own,
    client: connectClient(own),
    start,
    kill,
    restart: (config) => {
      kill();
      return start(config);
    },
  };
};

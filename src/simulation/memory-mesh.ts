import { createHash } from 'node:crypto';
import type {
  DialOptions,
  ListenOptions,
  MeshAddress,
  MeshCertificate,
  MeshListening,
  MeshNetwork,
  Wire,
} from '../drivers/mesh-wire.ts';
import { NetworkFailure } from '../drivers/network.ts';
import type { Clock } from '../std/clock.ts';
import type { Life } from './life.ts';
import { type WireWorld, wirePair } from './memory-wire.ts';
import { type MeshPaths, meshPaths, type PathConditions } from './mesh-paths.ts';
import type { SeededRandom } from './random.ts';
import { noTrace, type Trace } from './trace.ts';

/**
 * The network between simulated hosts: wires as TCP and TLS would make them, over ways that can be bad or
 * shut.
 */
export interface MemoryMesh {
  /** The mesh network as one process sees it. The address of a machine's listener is the machine's name. */
  of(machine: string, life: Life): MeshNetwork;
  /**
   * What the ways between machines are like. A machine is switched off here first, and then its processes
   * end.
   */
  readonly paths: MeshPaths;
}

export interface MemoryMeshOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly random: SeededRandom;
  readonly trace?: Pick<Trace, 'note'>;
  readonly conditions?: Partial<PathConditions>;
  /** How long a system tries to get something across before it gives the connection up. */
  readonly cutMs?: number;
  readonly windowBytes?: number;
}

export const cutMs = 15_000;
export const windowBytes = 65_536;

interface Listener {
  readonly machine: string;
  readonly life: Life;
  readonly options: ListenOptions;
  certificate: MeshCertificate;
  readonly wires: Set<Wire>;
  readonly onWire: (wire: Wire) => void;
}

/** Ports that are handed out where any will do begin here. */
const firstFreePort = 49_152;

export const memoryMesh = (options: MemoryMeshOptions): MemoryMesh => {
  const { clock, random, trace = noTrace } = options;
  const paths = meshPaths(clock, random.split('paths'), options.conditions);
  const world: WireWorld = {
    clock,
    paths,
    random: random.split('wires'),
    trace,
    cutMs: options.cutMs ?? cutMs,
    windowBytes: options.windowBytes ?? windowBytes,
  };
  const listeners = new Map<string, Listener>();
  let nextPort = firstFreePort;

  const listen = (
    { machine, life }: Dialler,
    on: MeshAddress,
    given: ListenOptions,
    onWire: (wire: Wire) => void,
  ): MeshListening => {
    const port = on.port === 0 ? nextPort : on.port;
    nextPort += on.port === 0 ? 1 : 0;
    const address: MeshAddress = { host: machine, port };
    const key = placeOf(address);
    if (listeners.has(key)) throw new NetworkFailure('in-use', `${key} is taken`);
    const listener: Listener = {
      ...{ machine, life, options: given, onWire },
      certificate: given.certificate,
      wires: new Set(),
    };
    listeners.set(key, listener);
    const forget = life.onEnd(() => listeners.delete(key));
    return {
      address,
      setCertificate: (certificate) => {
        listener.certificate = certificate;
      },
      close: async () => {
        forget();
        listeners.delete(key);
        for (const wire of listener.wires) wire.close('The host stops listening');
        listener.wires.clear();
      },
    };
  };

  return {
    paths,
    of: (machine, life) => ({
      dial: (to, given) => dial(world, listeners, { machine, life }, to, given),
      listen: async (on, given, onWire) => listen({ machine, life }, on, given, onWire),
    }),
  };
};

interface Dialler {
  readonly machine: string;
  readonly life: Life;
}

type Listeners = ReadonlyMap<string, Listener>;

/** A connection, unless it takes too long or is given up before. */
const dial = (
  world: WireWorld,
  listeners: Listeners,
  from: Dialler,
  to: MeshAddress,
  options: DialOptions,
): Promise<Wire> =>
  new Promise((resolve, reject) => {
    const place = placeOf(to);
    let over = false;
    const finish = (end: () => void): void => {
      if (over) return;
      over = true;
      cancel();
      options.signal?.removeEventListener('abort', abort);
      end();
    };
    const fail = (error: unknown): void => finish(() => reject(error));
    const abort = (): void => fail(new NetworkFailure('aborted', `The dial to ${place} was given up`));
    const late = `${place} did not answer within ${options.timeoutMs} ms`;
    const cancel = from.life.after(options.timeoutMs, () => fail(new NetworkFailure('timeout', late)));
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) return abort();
    connect(world, listeners, from, to, options).then((wire) => {
      if (over) wire.close('The dial was given up');
      else finish(() => resolve(wire));
    }, fail);
  });

/**
 * Two round trips: the connection and what the listener presents, then what the dialler presents and the
 * wire.
 */
const connect = async (
  world: WireWorld,
  listeners: Listeners,
  { machine, life }: Dialler,
  to: MeshAddress,
  options: DialOptions,
): Promise<Wire> => {
  const place = placeOf(to);
  const there = (): Promise<void> => travel(world, machine, to.host);
  const back = async (): Promise<void> => {
    await travel(world, to.host, machine);
    await new Promise<void>((resolve) => life.after(0, resolve));
  };
  const answered = async (reason: NetworkFailure['reason'], message: string): Promise<never> => {
    await back();
    throw new NetworkFailure(reason, message);
  };
  await there();
  const listener = listeners.get(place);
  if (listener === undefined) return answered('refused', `Nobody answers at ${place}`);
  const limits = listener.options;
  if (listener.wires.size >= limits.connectionsMax) {
    return answered('closed', `${place} closed the connection`);
  }
  const presented = fingerprintOf(listener.certificate.cert);
  await back();
  if (!options.pins.includes(presented)) {
    const text = `${place} presents the certificate ${presented}, which is not pinned for that host`;
    throw new NetworkFailure('refused', text);
  }
  await there();
  if (listeners.get(place) !== listener) return answered('closed', `${place} closed the connection`);
  const own = fingerprintOf(options.certificate.cert);
  if (!limits.accepts(own)) {
    return answered('refused', `${place} refuses: no host is known by its certificate ${own}`);
  }
  const near = { machine, life, peer: presented, messageBytesMax: options.messageBytesMax };
  const far = { ...listener, machine: to.host, peer: own, messageBytesMax: limits.messageBytesMax };
  const [mine, its] = wirePair(world, [near, far], () => listener.wires.delete(its));
  listener.wires.add(its);
  world.trace.note('wire', machine, place);
  listener.life.after(0, () => listener.onWire(its));
  await back();
  return mine;
};

/** One packet, sent again and again until it gets through. */
const travel = (world: WireWorld, from: string, to: string): Promise<void> =>
  new Promise((resolve) => {
    const { clock, paths } = world;
    const send = (): void => {
      clock.after(paths.delayMs(from, to), () => {
        if (paths.isOpen(from, to)) resolve();
        else paths.whenOpen(from, to, send);
      });
    };
    send();
  });

const placeOf = ({ host, port }: MeshAddress): string => `${host}:${port}`;

/** SHA-256 of what a PEM holds, in hexadecimal: as of a real certificate. */
export const fingerprintOf = (cert: string): string => {
  const body = cert.replace(/-----[^-]*-----/g, '').replace(/\s/g, '');
  return createHash('sha256').update(Buffer.from(body, 'base64')).digest('hex');
};

/**
 * What stands for a certificate where nothing is ever encrypted: looks like one, and is the same for one
 * seed.
 */
export const simulatedCertificate = (random: SeededRandom): MeshCertificate => {
  const pem = (kind: string): string => {
    const body = Buffer.from(random.bytes(48)).toString('base64');
    return `-----BEGIN ${kind}-----\n${body}\n-----END ${kind}-----\n`;
  };
  return { cert: pem('CERTIFICATE'), key: pem('PRIVATE KEY') };
};

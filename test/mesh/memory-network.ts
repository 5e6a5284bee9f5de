// A network without any I/O: wires between meshes of one process, which a test can hold up and cut.
import type { MeshListening, MeshNetwork, Wire, WireEvents } from '../../src/drivers/mesh-wire.ts';
import { NetworkFailure } from '../../src/drivers/network.ts';

export interface MemoryNetwork {
  /** The network as the host with this fingerprint sees it. */
  of(fingerprint: string): MeshNetwork;
  /** Every message that was sent, oldest first. */
  readonly sent: Uint8Array[];
  /** Messages are lost without a word while this is set: a partition. */
  silent: boolean;
  /** What every wire says has come in: raised, it tells of a message that is on its way. */
  receivedBytes: number;
  /** Ends every wire. */
  cut(): void;
  readonly dials: { readonly from: string; readonly port: number }[];
}

interface End {
  readonly wire: Wire;
  deliver(message: Uint8Array): void;
  end(reason: string): void;
}

export const memoryNetwork = (): MemoryNetwork => {
  const listeners = new Map<
    number,
    { fingerprint: string; accepts: (pin: string) => boolean; onWire: (wire: Wire) => void }
  >();
  const ends = new Set<End>();
  let lastPort = 0;

  const endOf = (peerCertificate: string, other: () => End): End => {
    const waiting: Uint8Array[] = [];
    let events: WireEvents | undefined;
    let open = true;
    let busy = false;
    const pump = async (): Promise<void> => {
      if (busy || events === undefined) return;
      busy = true;
      for (let message = waiting.shift(); message !== undefined && open; message = waiting.shift()) {
        await events.message(message);
      }
      busy = false;
    };
    const end: End = {
      deliver: (message) => {
        waiting.push(message);
        queueMicrotask(() => void pump());
      },
      end: (reason) => {
        if (!open) return;
        // What came before the end is still handed over.
        setImmediate(() => {
          open = false;
          ends.delete(end);
          events?.closed(reason);
        });
      },
      wire: {
        peerCertificate,
        send: (message) => {
          if (!open) return;
          network.sent.push(message);
          if (!network.silent) other().deliver(message);
        },
        bufferedBytes: () => 0,
        receivedBytes: () => network.receivedBytes,
        receive: (given) => {
          events = given;
          queueMicrotask(() => void pump());
        },
        close: (reason) => {
          end.end(reason);
          if (!network.silent) other().end(reason);
        },
      },
    };
    ends.add(end);
    return end;
  };

  const network: MemoryNetwork = {
    sent: [],
    silent: false,
    receivedBytes: 0,
    dials: [],
    cut: () => {
      for (const end of [...ends]) end.end('The connection was cut');
    },
    of: (fingerprint) => ({
      dial: async ({ port }, { pins, signal }) => {
        network.dials.push({ from: fingerprint, port });
        const there = listeners.get(port);
        if (there === undefined || network.silent)
          throw new NetworkFailure('refused', `Nobody answers at ${port}`);
        if (!pins.includes(there.fingerprint)) throw new NetworkFailure('refused', 'which is not pinned');
        if (!there.accepts(fingerprint)) throw new NetworkFailure('refused', 'it is not known');
        await new Promise((resolve) => setImmediate(resolve));
        if (signal?.aborted) throw new NetworkFailure('aborted', 'given up');
        const here: End = endOf(there.fingerprint, () => far);
        const far: End = endOf(fingerprint, () => here);
        there.onWire(far.wire);
        return here.wire;
      },
      listen: async (_, { accepts }, onWire): Promise<MeshListening> => {
        lastPort += 1;
        const port = lastPort;
        listeners.set(port, { fingerprint, accepts, onWire });
        return {
          address: { host: 'memory', port },
          setCertificate: () => {},
          close: async () => {
            listeners.delete(port);
          },
        };
      },
    }),
  };
  return network;
};

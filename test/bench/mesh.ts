import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { MeshCertificate } from '../../src/drivers/mesh-wire.ts';
import { makeCertificate } from '../../src/drivers/node/certificate.ts';
import { encodeFrame } from '../../src/mesh/frame.ts';
import { meshLimits } from '../../src/mesh/limits.ts';
import type { Mesh } from '../../src/mesh/mesh.ts';
import { startChild } from './child.ts';
import { figure, secondsOf, verdict } from './figures.ts';
import { type MeshEcho, plainMesh } from './mesh-echo.ts';
import { sized } from './sizes.ts';

const rounds = sized(9, 2);
const sliceMs = sized(700, 60);
const streamBytes = sized(256, 4) * 1_048_576;

/** What a call of a method on an actor elsewhere looks like. */
const payload = {
  method: 'VM.get_power_state',
  args: ['OpaqueRef:f2a5a2b0-5d1c-4d2e-9a4e-0d9f7c4a7a11'],
  caller: 'OpaqueRef:8f6c8f0e-7a43-4d0f-8a53-6f6b9d3f0c55',
  generation: 123_456n,
};

/** Calls between two processes by the mesh, beside a bare echo of the bytes of one such call. */
export const mesh = async (print: (line: string) => void): Promise<void> => {
  const child = startChild<MeshEcho>('mesh-echo');
  const [here, there] = await Promise.all([1, 2].map(() => makeCertificate({ names: [], days: 2 })));
  const [ours, theirs] = [here as MeshCertificate, there as MeshCertificate];
  const host = plainMesh('here', ours);
  try {
    const port = await child.ask('mesh', { certificate: theirs, pin: pinOf(ours) });
    host.setPeers([{ host: 'there', address: { host: '127.0.0.1', port }, pins: [pinOf(theirs)] }]);
    await new Promise<void>((resolve) => host.onPeer(({ state }) => state === 'up' && resolve()));
    const bare = await openEcho(await child.ask('echo', theirs));
    const byMesh = (): Promise<unknown> => host.call('there', 'echo', payload, { timeoutMs: 10_000 });
    print(
      `Mesh calls between two processes, TLS on the loopback, ${rounds} rounds of slices, median [least..most]`,
    );
    await beside(print, 1, 0.5, byMesh, bare.echo);
    await beside(print, 100, 3, byMesh, bare.echo);
    bare.close();
    await streamed(print, host);
  } finally {
    await host.close();
    await child.close();
  }
};

const beside = async (
  print: (line: string) => void,
  inFlight: number,
  atLeast: number,
  call: () => Promise<unknown>,
  echo: () => Promise<unknown>,
): Promise<void> => {
  for (const one of [call, echo]) await rate(one, inFlight);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await rate(call, inFlight));
    theirs.push(await rate(echo, inFlight));
  }
  print(figure(`${inFlight} in flight: calls/s`, ours));
  print(figure(`${inFlight} in flight: bare ws echo of the same bytes, messages/s`, theirs));
  const ratios = ours.map((value, i) => value / (theirs[i] as number));
  print(verdict({ name: `${inFlight} in flight: ratio`, values: ratios, atLeast }));
};

/** How many a second, so many at the same time, for a slice of time. */
const rate = async (one: () => Promise<unknown>, inFlight: number): Promise<number> => {
  const endMs = performance.now() + sliceMs;
  let count = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await one();
      count += 1;
    }
  };
  const seconds = await secondsOf(() => Promise.all(Array.from({ length: inFlight }, worker)));
  return count / seconds;
};

/** A bare WebSocket over TLS. Echoes come in the order in which messages went. */
const openEcho = async (port: number): Promise<{ echo: () => Promise<void>; close: () => void }> => {
  const message = encodeFrame(
    { version: 1, epoch: 1, items: [['call', 1, 'echo', payload, 10_000, '', false]] },
    meshLimits,
  );
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  const waiting: (() => void)[] = [];
  let first = 0;
  socket.on('message', () => {
    waiting[first++]?.();
    if (first === waiting.length) first = waiting.length = 0;
  });
  return {
    echo: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        socket.send(message);
      }),
    close: () => socket.close(),
  };
};

const streamed = async (print: (line: string) => void, host: Mesh): Promise<void> => {
  const chunk = new Uint8Array(65_536);
  const rates: number[] = [];
  for (let round = 0; round < 3; round++) {
    const stream = await host.open('there', 'sink', null, { timeoutMs: 10_000 });
    const seconds = await secondsOf(async () => {
      for (let sent = 0; sent < streamBytes; sent += chunk.length) {
        if (!stream.write(chunk)) await once(stream, 'drain');
      }
      stream.end();
      stream.resume();
      await once(stream, 'end');
    });
    rates.push(streamBytes / 1_000_000 / seconds);
  }
  print(figure(`one stream of ${streamBytes / 1_048_576} MiB, received to its end`, rates, 0, ' MB/s'));
};

const pinOf = ({ cert }: MeshCertificate): string =>
  createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');

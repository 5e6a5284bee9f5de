// Goal: a wire comes about only between two hosts that know each other's certificates, over TLS 1.3, in time.
// Method: the real network on the loopback, dialled by itself, by node:tls and by raw sockets.
import { once } from 'node:events';
import { connect as connectRaw, createServer } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { ListenOptions, MeshListening, Wire } from '../../src/drivers/mesh-wire.ts';
import { nodeMeshNetwork } from '../../src/drivers/node/mesh-wire.ts';
import { type Identity, makeIdentity } from './fixture.ts';

const [server, client, stranger] = await Promise.all([makeIdentity(), makeIdentity(), makeIdentity()]);
const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const listen = async (
  onWire: (wire: Wire) => void,
  options: Partial<ListenOptions> = {},
): Promise<MeshListening> => {
  const listening = await nodeMeshNetwork.listen(
    { host: '127.0.0.1', port: 0 },
    {
      certificate: server.certificate,
      accepts: (pin) => pin === client.pin,
      handshakeMsMax: 5_000,
      connectionsMax: 10,
      messageBytesMax: 100_000,
      ...options,
    },
    onWire,
  );
  open.push(listening);
  return listening;
};

const dial = (port: number, as: Identity = client, pins = [server.pin], timeoutMs = 5_000): Promise<Wire> =>
  nodeMeshNetwork.dial(
    { host: '127.0.0.1', port },
    { certificate: as.certificate, pins, timeoutMs, messageBytesMax: 100_000 },
  );

const failure = (dialled: Promise<unknown>): Promise<any> =>
  dialled.then(
    () => undefined,
    (error) => error,
  );
const closing = (wire: Wire): Promise<string> =>
  new Promise((resolve) => wire.receive({ message: () => {}, drained: () => {}, closed: resolve }));
const nobody = (): never => {
  throw new Error('No wire should have come about');
};

describe('a wire', () => {
  test('knows both certificates and carries messages both ways, in order, those sent at once too', async () => {
    const accepted = deferred<Wire>();
    const { address } = await listen(accepted.resolve);
    const here = await dial(address.port);
    const there = await accepted.promise;
    expect([here.peerCertificate, there.peerCertificate]).toEqual([server.pin, client.pin]);
    for (let i = 0; i < 100; i++) here.send(Uint8Array.of(i));
    const got: number[] = [];
    await new Promise<void>((resolve) =>
      there.receive({
        message: async ([first]) => {
          await new Promise((next) => setImmediate(next));
          got.push(first as number);
          if (got.length === 100) resolve();
        },
        drained: () => {},
        closed: () => {},
      }),
    );
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(there.receivedBytes()).toBeGreaterThanOrEqual(100);
    const ended = closing(here);
    there.close('That is all');
    expect(await ended).toBe('That is all');
  });

  test('ends by a message that is too long', async () => {
    let ended: Promise<string> | undefined;
    const { address } = await listen((wire) => {
      ended = closing(wire);
    });
    const here = await dial(address.port);
    here.send(new Uint8Array(100_001));
    await closing(here);
    expect(await ended).toContain('Max payload size exceeded');
  });
});

const deferred = <T>() => {
  let resolve = (_: T): void => {};
  const promise = new Promise<T>((given) => {
    resolve = given;
  });
  return { promise, resolve };
};

describe('no wire comes about', () => {
  test('with a host whose certificate is not pinned, and it hears nothing but TLS', async () => {
    let heard = 0;
    const { address } = await listen(nobody, {
      accepts: () => {
        heard += 1;
        return true;
      },
    });
    const error = await failure(dial(address.port, client, [stranger.pin]));
    expect(error.message).toContain(`presents the certificate ${server.pin}, which is not pinned`);
    expect(heard).toBe(0);
  });

  test('for a stranger, who is told which certificate is not known', async () => {
    const { address } = await listen(nobody);
    const error = await failure(dial(address.port, stranger));
    expect(error).toMatchObject({ reason: 'refused' });
    expect(error.message).toContain(`no host is known by its certificate ${stranger.pin}`);
  });

  test('without a certificate', async () => {
    const { address } = await listen(nobody);
    const socket = new WebSocket(`wss://127.0.0.1:${address.port}/mesh`, { rejectUnauthorized: false });
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(403);
    socket.terminate();
  });

  test('by TLS 1.2', async () => {
    const { address } = await listen(nobody);
    const socket = connect({
      port: address.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
    });
    const [error] = await once(socket, 'error');
    expect(error.message).toMatch(/protocol version/);
  });

  test('with a server that speaks no TLS, that says nothing, or that is not there', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    expect(await failure(dial(port, client, [server.pin], 50))).toMatchObject({ reason: 'timeout' });
    silent
      .removeAllListeners('connection')
      .on('connection', (socket) => socket.resume().end('HTTP/1.1 400 No\r\n\r\n'));
    expect((await failure(dial(port))).reason).toBe('closed');
    await new Promise((resolve) => silent.close(resolve));
    expect(await failure(dial(port))).toMatchObject({ reason: 'refused' });
  });

  test('for a dial that was given up', async () => {
    const { address } = await listen(nobody);
    const stop = new AbortController();
    const dialled = nodeMeshNetwork.dial(address, {
      certificate: client.certificate,
      pins: [server.pin],
      timeoutMs: 5_000,
      messageBytesMax: 1_000,
      signal: stop.signal,
    });
    stop.abort();
    expect(await failure(dialled)).toMatchObject({ reason: 'aborted' });
  });
});

describe('a listener', () => {
  test('cuts those who connect and say nothing, before and after TLS', async () => {
    const { address } = await listen(nobody, { handshakeMsMax: 100 });
    const raw = connectRaw(address.port, '127.0.0.1');
    const { cert, key } = client.certificate;
    const secure = connect({ port: address.port, host: '127.0.0.1', cert, key, rejectUnauthorized: false });
    raw.on('error', () => {});
    secure.on('error', () => {});
    raw.resume();
    secure.resume();
    await Promise.all([once(raw, 'close'), once(secure, 'close')]);
  });

  test('answers other HTTP and goes on after garbage', async () => {
    const { address } = await listen(() => {});
    const { cert, key } = client.certificate;
    for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\u0001 nonsense\r\n\r\n']) {
      const secure = connect({ port: address.port, host: '127.0.0.1', cert, key, rejectUnauthorized: false });
      secure.end(text);
      let said = '';
      secure.on('data', (data) => {
        said += data;
      });
      await once(secure, 'close');
      expect(said).toMatch(/^HTTP\/1.1 4/);
    }
    (await dial(address.port)).close('');
  });

  test('cuts one connection more than it may have', async () => {
    const { address } = await listen(() => {}, { connectionsMax: 1 });
    const first = await dial(address.port);
    expect(await failure(dial(address.port))).toMatchObject({ reason: 'closed' });
    first.close('');
  });

  test('presents another certificate from when it is given one', async () => {
    const listening = await listen(() => {});
    (await dial(listening.address.port)).close('');
    listening.setCertificate(stranger.certificate);
    expect((await failure(dial(listening.address.port))).message).toContain('not pinned');
    const wire = await dial(listening.address.port, client, [server.pin, stranger.pin]);
    expect(wire.peerCertificate).toBe(stranger.pin);
    wire.close('');
  });
});

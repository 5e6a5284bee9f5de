import type { Wire, WireEvents } from '../drivers/mesh-wire.ts';
import type { Clock } from '../std/clock.ts';
import { decodeFrame, encodeFrame, type Hello, type Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';

/** Greetings are in a form that never changes, and carry no epoch: nothing is done because of them. */
const say = (wire: Wire, item: Item, limits: MeshLimits): void =>
  wire.send(encodeFrame({ version: 0, epoch: 0, items: [item] }, limits));

export const sayHello = (wire: Wire, hello: Hello, limits: MeshLimits): void =>
  say(wire, ['hello', hello], limits);

/** Ends a wire that shall be no link, and tells the other side why. */
export const refuseWire = (wire: Wire, why: string, limits: MeshLimits): void => {
  say(wire, ['refuse', why], limits);
  wire.close(why);
};

/**
 * Waits for the other side's hello. `greeted` is given it and answers with who takes what follows, or ends
 * the wire and answers with nothing; `failed` is told why no hello came. One of the two is called, once.
 */
export const awaitHello = (
  wire: Wire,
  { clock, limits }: { readonly clock: Clock; readonly limits: MeshLimits },
  greeted: (hello: Hello) => WireEvents | undefined,
  failed: (why: string) => void,
): void => {
  let events: WireEvents | undefined;
  let over = false;
  const fail = (why: string): void => {
    if (over) return;
    over = true;
    disarm();
    wire.close(why);
    failed(why);
  };
  const disarm = clock.after(limits.handshakeMsMax, () =>
    fail(`No greeting came within ${limits.handshakeMsMax} ms`),
  );
  wire.receive({
    message: (bytes) => {
      if (events !== undefined) return events.message(bytes);
      if (over) return;
      const hello = helloOf(bytes, limits);
      if (typeof hello === 'string') return fail(hello);
      over = true;
      disarm();
      events = greeted(hello);
    },
    drained: () => events?.drained(),
    closed: (why) => {
      if (events !== undefined) events.closed(why);
      else fail(why);
    },
  });
};

/** The hello that a first frame holds, or why it holds none. */
const helloOf = (bytes: Uint8Array, limits: MeshLimits): Hello | string => {
  try {
    const { version, items } = decodeFrame(bytes, limits);
    const [item] = items;
    if (version === 0 && items.length === 1 && item?.[0] === 'hello') return item[1];
    if (version === 0 && item?.[0] === 'refuse') return item[1];
    return 'Its first frame is no greeting';
  } catch (error) {
    return `Its first frame is no frame: ${(error as Error).message}`;
  }
};

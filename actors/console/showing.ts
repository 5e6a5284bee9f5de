import { type Duplex, finished } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Ref } from '../../src/model/types.ts';
import type { ActionHandler } from '../../src/objects/implement.ts';
import { connectConsole, consoleVm, isOfHost } from '../../src/rules/consoles.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';

/** Names a console or a VM. */
interface Shown {
  readonly ref: string;
  readonly uuid: string;
}

const nameOf = ({ ref, uuid }: Shown): string => {
  const name = ref || uuid;
  if (name !== '') return name;
  throw new Fault('INVALID_VALUE', ['uuid', 'Name the console: ?uuid=<uuid> or ?ref=<reference>']);
};

/** Joins the two streams until either ends. */
const carry = async (client: Duplex, guest: Duplex, signal: AbortSignal): Promise<void> => {
  const end = (): void => {
    client.destroy();
    guest.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  const closed = new Promise<void>((resolve) => void finished(client, () => resolve()));
  try {
    await Promise.race([pipeline(client, guest), pipeline(guest, client), closed]);
  } catch {
    // One of the two broke off, which is how consoles end.
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
};

/** The bytes of a guest's screen (RFB) or serial line, where the guest is. */
const show = (part: string): ActionHandler<'console', Shown> => ({
  on: (shown: Shown, view: View): Ref => consoleVm(view, nameOf(shown)),
  part: (shown, view) => (isOfHost(view, nameOf(shown)) ? part : undefined),
  stream: async ({ services, signal }, shown, client) => {
    const guest = await connectConsole(services, nameOf(shown));
    try {
      await carry(await client.open(), guest, signal);
    } finally {
      guest.destroy();
    }
  },
});

export const showing = { connect_console: show('host_console'), connect_console_ws: show('host_console_ws') };

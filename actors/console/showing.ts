import { type Duplex, finished } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Ref } from '../../src/model/types.ts';
import type { Sink } from '../../src/objects/client.ts';
import type { ActionHandler } from '../../src/objects/implement.ts';
import { connectConsole, consoleVm, isOfHost } from '../../src/rules/consoles.ts';
import { screenPicture } from '../../src/rules/screen-picture.ts';
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

/** Done where the guest is. Those of hosts need more. */
const named = (part: string): Pick<ActionHandler<'console', Shown>, 'on' | 'part'> => ({
  on: (shown: Shown, view: View): Ref => consoleVm(view, nameOf(shown)),
  part: (shown, view) => (isOfHost(view, nameOf(shown)) ? part : undefined),
});

/** The bytes of a guest's screen (RFB) or serial line. */
const show = (part: string): ActionHandler<'console', Shown> => ({
  ...named(part),
  stream: async ({ services, signal }, shown, client) => {
    const guest = await connectConsole(services, nameOf(shown));
    try {
      await carry(await client.open(), guest, signal);
    } finally {
      guest.destroy();
    }
  },
});

/** What a guest's screen shows now. */
const picture: ActionHandler<'console', Shown> = {
  ...named('host_console'),
  stream: async ({ services, signal }, shown, client) => {
    const guest = await connectConsole(services, nameOf(shown), 'rfb');
    let sink: Sink | undefined;
    for await (const piece of screenPicture(guest, services.clock, signal)) {
      sink ??= client.answer({ type: 'image/png', name: 'snapshot.png' });
      await sink.write(piece);
    }
  },
};

export const showing = {
  connect_console: show('host_console'),
  connect_console_ws: show('host_console_ws'),
  get_vncsnapshot: picture,
};

import type { WireMessage } from '../../src/model/derive.ts';
import type { Client } from '../../src/objects/client.ts';
import { hostCaller, type Invocation } from '../../src/objects/invoke.ts';
import type { WorldHost } from '../world.ts';

// A client of an action, without HTTP.

/** What a client sends, and what it was sent. */
export interface Sent {
  readonly answered: Buffer[];
  readonly client: Client;
}

export const clientOf = (body: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = []): Sent => {
  const answered: Buffer[] = [];
  return {
    answered,
    client: {
      sizeBytes: undefined,
      body: async function* () {
        yield* body;
      },
      answer: () => ({ write: async (chunk) => void answered.push(Buffer.from(chunk)) }),
      open: () => Promise.reject(new Error('This client is no duplex')),
    },
  };
};

/** Asks a host for an action; arguments that are left out are at their defaults. */
export const streamed = (
  { catalog, invoker }: Pick<WorldHost, 'catalog' | 'invoker'>,
  name: string,
  args: readonly unknown[],
  client: Client,
  more: Partial<Invocation> = {},
): Promise<void> => {
  const message = catalog.action(name) as WireMessage;
  const all = message.params.map(({ defaultValue }, at) => (at < args.length ? args[at] : defaultValue));
  const asked = { message, args: all, caller: hostCaller, watched: 'untracked' as const };
  return invoker.stream({ ...asked, ...more, client: () => client });
};

// The agent in a guest, as long as the guest is here: what it knows is asked from time to time and told,
// and it is asked to shut the guest down. A guest without one costs a question now and then.
import type { Network } from '../../../drivers/network.ts';
import type { Clock } from '../../../std/clock.ts';
import type { Log } from '../../../std/log.ts';
import { type AgentLine, agentLine } from './agent-line.ts';
import { agentWords } from './agent-words.ts';
import type { Folder } from './folder.ts';

export interface GuestAgent {
  /** True once the agent has taken it; false where none is there that does. */
  ask(what: 'poweroff' | 'reboot'): Promise<boolean>;
  close(): void;
}

export interface FollowedAgent {
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Log;
  readonly folder: Folder;
  /** Positions of the guest's network cards by their addresses, in lower case. */
  readonly cards: () => Promise<ReadonlyMap<string, number>>;
  /** Told of each change; nothing: no agent answers any more. */
  readonly onWords: (words: ReadonlyMap<string, string>) => void;
}

/** Agents start late in a boot, and are restarted. */
const LOOK_MS = 5_000;
const CONNECT_MS_MAX = 10_000;

export const followAgent = (options: FollowedAgent): GuestAgent => {
  const { network, clock, log, folder } = options;
  let line: AgentLine | undefined;
  let known = '[]';
  let isClosed = false;
  let cancel = (): void => {};
  let turn: Promise<unknown> = Promise.resolve();

  /** Conversations come one after another. */
  const inTurn = <T>(talk: () => Promise<T>): Promise<T> => {
    const done = turn.then(talk);
    turn = done.catch(() => {});
    return done;
  };
  const connected = async (): Promise<AgentLine> => {
    if (line !== undefined) return line;
    const stream = await network.connect({ socketPath: folder.file('agent') }, { timeoutMs: CONNECT_MS_MAX });
    const made = agentLine(stream, clock);
    stream.on('error', (error) => log.debug({ error }, 'the line of an agent ended'));
    stream.on('close', () => {
      if (line === made) line = undefined;
    });
    if (isClosed) made.close();
    else line = made;
    return made;
  };
  const tell = (words: ReadonlyMap<string, string>): void => {
    const text = JSON.stringify([...words]);
    if (isClosed || text === known) return;
    known = text;
    options.onWords(words);
  };
  const look = async (): Promise<void> => {
    const to = await connected();
    tell((await to.find()) ? await wordsOf(to, options.cards) : new Map());
  };
  const again = (): void => {
    if (isClosed) return;
    cancel = clock.after(LOOK_MS, () => {
      inTurn(look)
        .catch((error: unknown) => log.debug({ error }, 'an agent was not asked'))
        .finally(again);
    });
  };
  again();

  return {
    ask: (what) =>
      inTurn(async () => {
        if (known === '[]' || line === undefined || !(await line.find())) return false;
        return line.tell('guest-shutdown', { mode: what === 'reboot' ? 'reboot' : 'powerdown' });
      }),
    close: () => {
      isClosed = true;
      cancel();
      line?.close();
    },
  };
};

const wordsOf = async (
  line: AgentLine,
  cards: FollowedAgent['cards'],
): Promise<ReadonlyMap<string, string>> => {
  const info = (await line.ask('guest-info'))?.value;
  const system = (await line.ask('guest-get-osinfo'))?.value;
  const host = (await line.ask('guest-get-host-name'))?.value;
  const interfaces = (await line.ask('guest-network-get-interfaces'))?.value;
  return agentWords({ info, system, host, interfaces }, await cards());
};

// The agent in a guest, as long as the guest is here: what it knows is asked from time to time and told,
// and it is asked to shut the guest down. A guest without one costs a question now and then.

import { type ScriptOutcome, XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import type { Network } from '../../../drivers/network.ts';
import { type Clock, sleep } from '../../../std/clock.ts';
import { inTurns } from '../../../std/in-turns.ts';
import type { Log } from '../../../std/log.ts';
import { membersOf } from '../../../std/reader.ts';
import { type AgentAnswer, type AgentLine, agentLine } from './agent-line.ts';
import { agentWords } from './agent-words.ts';
import type { Folder } from './folder.ts';

export interface GuestAgent {
  /** True once the agent has taken it; false where none is there that does. */
  ask(what: 'poweroff' | 'reboot'): Promise<boolean>;
  /** Runs a script of the guest's shell to its end. One that is aborted is left to itself. */
  run(script: string, signal: AbortSignal): Promise<ScriptOutcome>;
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
/** How often it is asked whether a script has ended. */
const SCRIPT_MS = 250;
const CONNECT_MS_MAX = 10_000;

export const followAgent = (options: FollowedAgent): GuestAgent => {
  const { network, clock, log, folder } = options;
  let line: AgentLine | undefined;
  let known = '[]';
  let isClosed = false;
  let cancel = (): void => {};
  /** Conversations come one after another. */
  const inTurn = inTurns();

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
    run: async (script, signal) => {
      const talk = (ask: (to: AgentLine) => Promise<AgentAnswer>) =>
        inTurn(async () => {
          const to = await connected();
          if (!(await to.find())) throw notRun('no agent answers in the guest');
          return membersOf((await ask(to))?.value);
        });
      const { pid } = await talk(async (to) => {
        const system = membersOf((await to.ask('guest-get-osinfo'))?.value);
        return to.ask('guest-exec', shellOf(system['id'] === 'mswindows', script));
      });
      if (typeof pid !== 'number') throw notRun('the agent of the guest runs no scripts');
      for (;;) {
        // Others may ask in between: scripts take their time.
        await sleep(clock, SCRIPT_MS, signal);
        const status = await talk((to) => to.ask('guest-exec-status', { pid }));
        if (status['exited'] === true) return outcomeOf(status);
        if (status['exited'] !== false) throw notRun('the agent does not tell what became of the script');
      }
    },
    close: () => {
      isClosed = true;
      cancel();
      line?.close();
    },
  };
};

const notRun = (why: string): XenopsError => new XenopsError('Failed_to_run_script', [why]);

/** As whom the agent runs: it is the guest's own, and no password is needed of one who commands it. */
const shellOf = (isWindows: boolean, script: string): Readonly<Record<string, unknown>> => ({
  path: isWindows ? 'cmd.exe' : '/bin/sh',
  arg: [isWindows ? '/c' : '-c', script],
  'capture-output': true,
});

const outcomeOf = (status: Readonly<Record<string, unknown>>): ScriptOutcome => {
  const said = (key: string): string => Buffer.from(String(status[key] ?? ''), 'base64').toString('utf8');
  const code = status['exitcode'] ?? 128 + Number(status['signal'] ?? 0);
  return { rc: Number(code), stdout: said('out-data'), stderr: said('err-data') };
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

// The protocol of QEMU's guest agent: one line of JSON a question and one an answer, without numbers that
// tell which belong together. Whoever was there before may have left questions in the line, so that each
// conversation begins by finding its place: a number goes out, and what comes before its return is passed
// over.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../std/clock.ts';
import { jsonIn, membersOf } from '../../../std/reader.ts';
import { splitLines } from './qmp.ts';

export type AgentCommand =
  | 'guest-info'
  | 'guest-get-osinfo'
  | 'guest-get-host-name'
  | 'guest-network-get-interfaces'
  | 'guest-shutdown'
  | 'guest-exec'
  | 'guest-exec-status';

/** Undefined: no answer came, or the agent refused. */
export type AgentAnswer = { readonly value: unknown } | undefined;

export interface AgentLine {
  /** Whether somebody answers by now. */
  find(): Promise<boolean>;
  /** Only after `find` has found somebody, one question at a time. */
  ask(command: AgentCommand, args?: Readonly<Record<string, unknown>>): Promise<AgentAnswer>;
  /** Also of one who does not answer when all went well, as nobody is there any more. */
  tell(command: AgentCommand, args: Readonly<Record<string, string>>): Promise<boolean>;
  close(): void;
}

export const agentLimits = { lineBytesMax: 256 * 1024, answerMsMax: 3_000, refusalMsMax: 1_000 };

/** Tells an agent to forget what it had read of a line. */
const DELIMITER = Buffer.from([0xff]);

export const agentLine = (
  stream: Duplex,
  clock: Clock,
  limits: typeof agentLimits = agentLimits,
): AgentLine => {
  let onLine = (_: Readonly<Record<string, unknown>>): void => {};
  let number = 0;
  const split = splitLines(
    limits.lineBytesMax,
    (line) => onLine(membersOf(jsonIn(line.replaceAll('\ufffd', '')))),
    () => stream.destroy(),
  );
  stream.on('data', split);

  /** The first line that passes. */
  const next = (
    waitMs: number,
    passes: (line: Readonly<Record<string, unknown>>) => boolean,
  ): Promise<Readonly<Record<string, unknown>> | undefined> =>
    new Promise((resolve) => {
      const done = (line?: Readonly<Record<string, unknown>>): void => {
        cancel();
        onLine = () => {};
        resolve(line);
      };
      const cancel = clock.after(waitMs, () => done());
      onLine = (line) => passes(line) && done(line);
    });
  const write = (command: string, args: object): void =>
    void stream.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
  const isAnswer = (line: object): boolean => 'return' in line || 'error' in line;

  return {
    find: async () => {
      // The line of a guest without an agent is full one day.
      if (stream.destroyed || stream.writableLength > 0) return false;
      number += 1;
      const own = number;
      const found = next(limits.answerMsMax, (line) => line['return'] === own);
      stream.write(DELIMITER);
      write('guest-sync-delimited', { id: own });
      return (await found) !== undefined;
    },
    ask: async (command, args = {}) => {
      const answer = next(limits.answerMsMax, isAnswer);
      write(command, args);
      const line = await answer;
      return line !== undefined && 'return' in line ? { value: line['return'] } : undefined;
    },
    tell: async (command, args) => {
      const answer = next(limits.refusalMsMax, isAnswer);
      write(command, args);
      const line = await answer;
      return line === undefined || 'return' in line;
    },
    close: () => void stream.destroy(),
  };
};

import type { Call } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Clock } from '../std/clock.ts';
import type { Conversation } from './conversation.ts';
import type { CommandWords } from './given.ts';
import type { Printer } from './printer.ts';

/** The XenAPI as whoever runs the command may use it. Every call is checked as one of any other client. */
export interface Api {
  /** Of whoever runs the command, for what is asked for by HTTP. */
  readonly session: string;
  /** The host that runs the command. */
  readonly host: Ref<'host'>;
  /** Declared messages, as objects call one another. Rejects with a `Fault`, as `send` does. */
  readonly call: Call;
  /** Any message by its name, its arguments in the order of the wire, without the session. */
  readonly send: (method: string, ...args: readonly unknown[]) => Promise<any>;
  /** The same by another session. */
  readonly by: (session: string) => Api;
}

/** A command while it runs. */
export interface CommandRun {
  readonly api: Api;
  readonly params: CommandWords;
  readonly print: Printer;
  readonly client: Conversation;
  readonly clock: Clock;
}

/** What a command chooses the objects by that it is for, beside their fields. */
export type Selects = 'vm' | 'host' | 'sr';

export interface Command {
  readonly name: string;
  /** For `help`. */
  readonly doc: string;
  readonly required?: readonly string[];
  /** As `help` shows them; one that ends in `:` takes keys as `name:key=value`. */
  readonly optional?: readonly string[];
  readonly selects?: Selects;
  /** Shown by `help` without `--all`. */
  readonly standard?: true;
  /** Shown by no `help`. */
  readonly hidden?: true;
  /** Of the host that is asked alone, also while its pool is out of reach. */
  readonly local?: true;
  readonly run: (running: CommandRun) => Promise<void>;
}

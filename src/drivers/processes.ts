import type { Owner } from './disk.ts';

/** Programs that Xenact starts. Arguments are a list and never pass a shell. */
export interface Processes {
  /** Runs a program to its end. Rejects only when it could not be started or a limit ended it. */
  run(file: string, args: readonly string[], options: RunOptions): Promise<Finished>;
  /** Starts a program that outlives this process, in a session of its own. Answers its process id. */
  detach(file: string, args: readonly string[], options: DetachOptions): Promise<number>;
  /**
   * Kills what has one of these in its environment (`NAME=value`), and resolves once it is gone: what `run`
   * has begun in a process that was killed.
   */
  endStartedWith(marks: readonly string[]): Promise<void>;
  /**
   * Gives a program these bytes and answers what it makes of them, no more ahead than it takes. Throws
   * `ProcessFailure` where it cannot be started or fails, and what the bytes threw.
   */
  pipe(
    file: string,
    args: readonly string[],
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  isAlive(pid: number): boolean;
  signal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: Owner;
  /** After this long the program and its children are killed and the call rejects with `ProcessFailure`. */
  readonly timeoutMs: number;
  /** Output beyond this many bytes, stdout and stderr each, kills the program likewise. */
  readonly outputMax: number;
  readonly signal?: AbortSignal;
}

/** A file or folder of this process that a program is started with, as it may not open it itself. No link. */
export interface Inherited {
  readonly path: string;
  readonly how: 'read' | 'write' | 'folder';
}

export interface DetachOptions {
  /** Whom the program runs as, in that one group; without it, as this process. */
  readonly user?: Owner;
  /** Open in the program as its file descriptors from 3 on. */
  readonly inherited?: readonly Inherited[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Where stdout and stderr go, appended. */
  readonly logFile: string;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class ProcessFailure extends Error {
  readonly reason: 'not-started' | 'timeout' | 'output-limit' | 'aborted' | 'failed';

  constructor(reason: ProcessFailure['reason'], message: string) {
    super(message);
    this.name = 'ProcessFailure';
    this.reason = reason;
  }
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

// Programs of a benchmark that run in a process of their own and are asked by messages.

export type Commands = Readonly<Record<string, (given: any) => Promise<unknown>>>;

export interface Child<C extends Commands> {
  readonly pid: number;
  ask<K extends keyof C & string>(command: K, given: Parameters<C[K]>[0]): ReturnType<C[K]>;
  close(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Starts `file`, a program of this folder without its ending. */
export const startChild = <C extends Commands>(file: string): Child<C> => {
  const child = fork(fileURLToPath(new URL(`./${file}.js`, import.meta.url)), { serialization: 'advanced' });
  const asked = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let lastId = 0;
  child.on('message', ({ id, result, error }: Reply) => {
    const waiting = asked.get(id);
    asked.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${file}: ${error}`));
  });
  child.on('exit', () => {
    for (const { reject } of asked.values()) reject(new Error(`${file} ended`));
  });
  return {
    pid: child.pid as number,
    ask: (command, given) =>
      new Promise((resolve, reject) => {
        lastId += 1;
        asked.set(lastId, { resolve, reject });
        child.send({ id: lastId, command, given });
      }) as never,
    close: async () => {
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    },
  };
};

/** The other side: answers what the benchmark asks. */
export const answer = (commands: Commands): void => {
  process.on('message', ({ id, command, given }: { id: number; command: string; given: unknown }) => {
    Promise.resolve(commands[command]?.(given)).then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
};

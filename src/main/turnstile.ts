import { Fault } from '../std/fault.ts';

/** Who waits: turns go round the sources, and for each of them round its users. */
export interface Asker {
  readonly source: string;
  readonly user: string;
}

/** Runs a bounded number of things at once; whoever asks for many waits for himself and not before others. */
export interface Turnstile {
  /** Throws TOO_MANY_PENDING_TASKS where no more may wait. */
  pass<T>(asker: Asker, run: () => Promise<T>): Promise<T>;
}

export interface TurnstileLimits {
  readonly runningMax: number;
  /** Of all sources together. */
  readonly waitingMax: number;
  /** Of one source for one user. */
  readonly waitingOfOneMax: number;
}

interface Waiting {
  readonly begin: () => void;
  readonly refuse: (fault: Fault) => void;
}

/** Of one source: those that wait, by user. */
interface Line {
  readonly users: Map<string, Waiting[]>;
  size: number;
}

export const turnstileOf = ({ runningMax, waitingMax, waitingOfOneMax }: TurnstileLimits): Turnstile => {
  const lines = new Map<string, Line>();
  let running = 0;
  let waiting = 0;

  /** Takes one out of a line; what is left goes to the end of each round. */
  const take = (
    source: string,
    line: Line,
    user: string,
    which: 'oldest' | 'newest',
  ): Waiting | undefined => {
    const queue = line.users.get(user) ?? [];
    const taken = which === 'oldest' ? queue.shift() : queue.pop();
    waiting -= 1;
    line.size -= 1;
    line.users.delete(user);
    lines.delete(source);
    if (queue.length > 0) line.users.set(user, queue);
    if (line.size > 0) lines.set(source, line);
    return taken;
  };

  const next = (): Waiting | undefined => {
    for (const [source, line] of lines)
      for (const user of line.users.keys()) return take(source, line, user, 'oldest');
    return undefined;
  };

  /** The newest of the longest line gives its place up, unless that would be the line of whoever asks. */
  const makeRoom = (source: string): boolean => {
    const own = lines.get(source)?.size ?? 0;
    const [longest, line] = [...lines].reduce((a, b) => (b[1].size > a[1].size ? b : a));
    if (line.size <= own + 1) return false;
    const [crowded = ''] = [...line.users].reduce((a, b) => (b[1].length > a[1].length ? b : a));
    take(longest, line, crowded, 'newest')?.refuse(tooMany());
    return true;
  };

  const wait = ({ source, user }: Asker): Promise<void> =>
    new Promise((begin, refuse) => {
      const full = (lines.get(source)?.users.get(user)?.length ?? 0) >= waitingOfOneMax;
      if (full || (waiting >= waitingMax && !makeRoom(source))) return refuse(tooMany());
      const line = lines.get(source) ?? { users: new Map<string, Waiting[]>(), size: 0 };
      const queue = line.users.get(user) ?? [];
      queue.push({ begin, refuse });
      line.users.set(user, queue);
      lines.set(source, line);
      line.size += 1;
      waiting += 1;
    });

  return {
    pass: async (asker, run) => {
      // Whoever leaves hands its place on, so `running` stays as it is.
      if (running >= runningMax) await wait(asker);
      else running += 1;
      try {
        return await run();
      } finally {
        const following = next();
        if (following === undefined) running -= 1;
        else following.begin();
      }
    },
  };
};

const tooMany = (): Fault => new Fault('TOO_MANY_PENDING_TASKS');

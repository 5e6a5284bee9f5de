/** What callers have used of this host since its start, by reference of a Caller or name of a group. */
export interface CallerUsage {
  /** One call, counted once under each name. */
  add(names: Iterable<string>, tokens: number): void;
  of(name: string): Used;
}

export interface Used {
  readonly calls: number;
  readonly tokens: number;
}

/** Names that are counted at once; of more the one that was counted first is forgotten. */
const namesMax = 20_000;
const none: Used = { calls: 0, tokens: 0 };

export const callerUsage = (): CallerUsage => {
  const used = new Map<string, Used>();
  return {
    add: (names, tokens) => {
      for (const name of names) {
        const before = used.get(name) ?? none;
        used.set(name, { calls: before.calls + 1, tokens: before.tokens + tokens });
        const [oldest] = used.keys();
        if (used.size > namesMax && oldest !== undefined) used.delete(oldest);
      }
    },
    of: (name) => used.get(name) ?? none,
  };
};

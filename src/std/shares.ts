/** Something that all share, and of which each may have a part. */
export interface Shares {
  /** Takes so much for somebody; the returned function gives it back, once. Undefined: that is too much. */
  take(holder: string, amount: number): (() => void) | undefined;
  readonly taken: number;
}

/** `ofOneMax` is less than `totalMax`, so that nobody alone can take all there is. */
export const sharesOf = ({
  ofOneMax,
  totalMax,
}: {
  readonly ofOneMax: number;
  readonly totalMax: number;
}): Shares => {
  const byHolder = new Map<string, number>();
  let taken = 0;
  const add = (holder: string, amount: number): void => {
    taken += amount;
    const has = (byHolder.get(holder) ?? 0) + amount;
    if (has === 0) byHolder.delete(holder);
    else byHolder.set(holder, has);
  };
  return {
    take: (holder, amount) => {
      if (taken + amount > totalMax || (byHolder.get(holder) ?? 0) + amount > ofOneMax) return undefined;
      add(holder, amount);
      let held = true;
      return () => {
        if (held) add(holder, -amount);
        held = false;
      };
    },
    get taken() {
      return taken;
    },
  };
};

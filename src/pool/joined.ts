import { type Duplex, finished } from 'node:stream';

/**
 * Carries bytes both ways until both sides have ended. What a side wrote before it closed reaches the other,
 * however slow that is; a side that breaks off breaks off the other. Never rejects.
 */
export const joined = async (a: Duplex, b: Duplex): Promise<void> => {
  await Promise.all([carried(a, b), carried(b, a)]);
  a.destroy();
  b.destroy();
};

const carried = (from: Duplex, to: Duplex): Promise<void> =>
  new Promise((resolve) => {
    from.pipe(to);
    // Nobody reads it any more, but the other direction may still be on its way.
    finished(to, { readable: false }, () => {
      from.unpipe(to);
      from.resume();
    });
    finished(from, { writable: false }, () => {
      if (!from.readableEnded) to.destroy();
      finished(to, { readable: false }, () => resolve());
    });
  });

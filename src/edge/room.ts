/** There is no room for more bodies now. */
export class NoRoom extends Error {
  constructor() {
    super('Too much is being sent to this host at once: try again in a moment');
    this.name = 'NoRoom';
  }
}

/** Memory for what clients send, which they share. Who has sent most makes place first. */
export interface Room {
  /** `expel` ends what arrives, as its memory is needed. */
  enter(source: string, expel: (why: NoRoom) => void): RoomPlace;
  readonly sizeBytes: number;
}

export interface RoomPlace {
  /** Takes memory up to this much in all. Throws `NoRoom` where there is nobody who has more to give up. */
  fill(sizeBytes: number): void;
  /** All has come: what is being worked on is not taken away any more. */
  keep(): void;
  leave(): void;
}

interface Holder {
  readonly expel: (why: NoRoom) => void;
  sizeBytes: number;
  kept: boolean;
}

/** What one source holds; the body that began first comes first. */
interface Share {
  readonly holders: Set<Holder>;
  sizeBytes: number;
}

export const roomOf = (bytesMax: number): Room => {
  const shares = new Map<string, Share>();
  let sizeBytes = 0;

  const add = (source: string, share: Share, holder: Holder, more: number): void => {
    holder.sizeBytes += more;
    share.sizeBytes += more;
    sizeBytes += more;
    if (share.holders.size === 0) shares.delete(source);
  };
  const remove = (source: string, share: Share, holder: Holder): void => {
    if (!share.holders.delete(holder)) return;
    add(source, share, holder, -holder.sizeBytes);
  };
  /** The oldest that still arrives, of the source that has most and something that arrives. */
  const victim = (): readonly [source: string, share: Share, holder: Holder] | undefined => {
    let found: readonly [string, Share, Holder] | undefined;
    for (const [source, share] of shares) {
      if (found !== undefined && share.sizeBytes <= found[1].sizeBytes) continue;
      for (const holder of share.holders) {
        if (holder.kept) continue;
        found = [source, share, holder];
        break;
      }
    }
    return found;
  };

  return {
    get sizeBytes() {
      return sizeBytes;
    },
    enter: (source, expel) => {
      const share = shares.get(source) ?? { holders: new Set(), sizeBytes: 0 };
      const holder: Holder = { expel, sizeBytes: 0, kept: false };
      share.holders.add(holder);
      shares.set(source, share);
      return {
        fill: (size) => {
          if (!share.holders.has(holder)) return;
          add(source, share, holder, size - holder.sizeBytes);
          while (sizeBytes > bytesMax) {
            const [from, other, one] = victim() ?? [source, share, holder];
            remove(from, other, one);
            if (one === holder) throw new NoRoom();
            one.expel(new NoRoom());
          }
        },
        keep: () => {
          holder.kept = true;
        },
        leave: () => remove(source, share, holder),
      };
    },
  };
};

import type { CopyPiece } from '../../store/batch.ts';
import type { Replica } from '../../store/replica.ts';

/** Whole copies that are under way, one for each host; a host that begins anew gives up the one before. */
export const copiesOf = (replica: Replica): { next(host: string, begin: boolean): CopyPiece | undefined } => {
  const underWay = new Map<string, Iterator<CopyPiece>>();
  return {
    next: (host, begin) => {
      if (begin) underWay.set(host, replica.copy()[Symbol.iterator]());
      const next = underWay.get(host)?.next();
      if (next?.done === false) return next.value;
      underWay.delete(host);
      return undefined;
    },
  };
};

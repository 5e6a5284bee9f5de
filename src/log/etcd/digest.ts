import { createHash } from 'node:crypto';
import type { RowChange } from '../../store/batch.ts';
import type { Replica } from '../../store/replica.ts';
import { pack } from './records.ts';

/** Of the same rows the same text, in whatever order they and their fields are held. */
export const digestOf = async (
  copy: ReturnType<Replica['copy']>,
  pause: () => Promise<void>,
): Promise<string> => {
  const rows: Buffer[] = [];
  for (const piece of copy) {
    for (const row of piece.rows) rows.push(rowDigest(row));
    if (!piece.last) await pause();
  }
  const all = createHash('sha256');
  for (const one of rows.sort(Buffer.compare)) all.update(one);
  return all.digest('hex');
};

const rowDigest = ({ cls, ref, generation, created, durable, row }: RowChange): Buffer => {
  const fields = Object.entries(row?.fields ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = pack([cls, ref, generation, created, durable, row?.stored, fields]);
  return createHash('sha256').update(text).digest();
};

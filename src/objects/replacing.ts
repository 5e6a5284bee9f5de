import type { Ref } from '../model/types.ts';
import type { StoredRow } from '../store/durable.ts';

/** A database for a host to begin with. */
export interface NextDatabase {
  /** The host that begins with it, by its row there. */
  readonly host: Ref<'host'>;
  readonly rows: readonly StoredRow[];
  /** At least that of where the rows come from, so that no reader of its events is ahead of it. */
  readonly generation: number;
}

/** The database that this pool would have by what somebody gives. Throws a fault that says why it may not. */
export type ReplacingDatabase = (text: string) => Promise<NextDatabase>;

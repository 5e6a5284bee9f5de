import type { Schema } from './schema.ts';
import type { Entry, Version } from './version.ts';

/** The rows of one class, in memory. */
export interface Table {
  readonly schema: Schema;
  readonly entries: ReadonlyMap<string, Entry>;
  latest(ref: string): Version | undefined;
  committed(ref: string): Version | undefined;
  byUuid(uuid: string): string | undefined;
  /** Committed rows now, for `valid_ref_counts`. */
  readonly count: number;
  /** The entry of a row, made when there is none. */
  entry(ref: string): Entry;
  /** Makes `version` what readers see. An entry without versions is dropped. */
  publish(entry: Entry, version: Version | undefined): void;
  /** Takes the latest back to `version`. */
  revert(entry: Entry, version: Version | undefined): void;
  /** Generation of the newest change of any row, deletions included; never too low. */
  newest: number;
}

export const table = (schema: Schema, newest = 0): Table => {
  const entries = new Map<string, Entry>();
  const uuids = new Map<string, string>();
  let count = 0;

  const uuidOf = (version: Version | undefined): string => String(version?.record['uuid'] ?? '');
  const dropIfGone = (entry: Entry): void => {
    if (entry.committed === undefined && entry.latest === undefined) entries.delete(entry.ref);
  };

  return {
    schema,
    entries,
    latest: (ref) => entries.get(ref)?.latest,
    committed: (ref) => entries.get(ref)?.committed,
    byUuid: (uuid) => uuids.get(uuid),
    get count() {
      return count;
    },
    entry: (ref) => {
      const known = entries.get(ref);
      if (known !== undefined) return known;
      const entry: Entry = { cls: schema.cls.name, ref, committed: undefined, latest: undefined };
      entries.set(ref, entry);
      return entry;
    },
    publish: (entry, version) => {
      const before = uuidOf(entry.committed);
      const after = uuidOf(version);
      if (before !== after) {
        if (uuids.get(before) === entry.ref) uuids.delete(before);
        if (after !== '') uuids.set(after, entry.ref);
      }
      count += Number(version !== undefined) - Number(entry.committed !== undefined);
      entry.committed = version;
      dropIfGone(entry);
    },
    revert: (entry, version) => {
      entry.latest = version;
      dropIfGone(entry);
    },
    newest,
  };
};

import { referencesIn } from '../model/references.ts';
import type { Schema } from './schema.ts';
import type { Entry, Version } from './version.ts';

/** The rows of one class, in memory. */
export interface Table {
  readonly schema: Schema;
  readonly entries: ReadonlyMap<string, Entry>;
  latest(ref: string): Version | undefined;
  committed(ref: string): Version | undefined;
  byUuid(uuid: string): string | undefined;
  /** Rows whose latest or committed version has a reference in an indexed field. */
  referring(field: string, to: string): Iterable<Entry>;
  /** Committed rows now, for `valid_ref_counts`. */
  readonly count: number;
  /** The entry of a row, made when there is none. */
  entry(ref: string): Entry;
  /**
   * Makes `version` what the next decision builds on. An entry without versions is kept until it is
   * published.
   */
  stage(entry: Entry, version: Version | undefined): void;
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
  const index = [...schema.indexed].map(([field, holding]) => {
    const known = new Map<string, Set<Entry>>();
    return { field, known, in: (value: unknown) => referencesIn(holding, value) };
  });
  let count = 0;

  const uuidOf = (version: Version | undefined): string => String(version?.record['uuid'] ?? '');
  /** After a version of a row took the place of `before`. */
  const reindex = (entry: Entry, before: Version | undefined, after: Version | undefined): void => {
    for (const { field, known, in: inside } of index) {
      const [was, is] = [before?.record[field], after?.record[field]];
      if (was === is) continue;
      for (const ref of was === undefined ? [] : inside(was)) {
        const still = (version: Version | undefined): boolean =>
          version !== undefined && inside(version.record[field]).includes(ref);
        const rows = known.get(ref);
        if (rows === undefined || still(entry.latest) || still(entry.committed)) continue;
        rows.delete(entry);
        if (rows.size === 0) known.delete(ref);
      }
      for (const ref of is === undefined ? [] : inside(is)) {
        known.set(ref, (known.get(ref) ?? new Set()).add(entry));
      }
    }
  };
  const setLatest = (entry: Entry, version: Version | undefined): void => {
    const before = entry.latest;
    entry.latest = version;
    reindex(entry, before, version);
  };
  const dropIfGone = (entry: Entry): void => {
    if (entry.committed === undefined && entry.latest === undefined) entries.delete(entry.ref);
  };

  return {
    schema,
    entries,
    latest: (ref) => entries.get(ref)?.latest,
    committed: (ref) => entries.get(ref)?.committed,
    byUuid: (uuid) => uuids.get(uuid),
    referring: (field, to) => {
      const known = index.find((one) => one.field === field)?.known;
      if (known === undefined) throw new Error(`${schema.cls.name}.${field} is not indexed`);
      return known.get(to) ?? [];
    },
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
    stage: setLatest,
    publish: (entry, version) => {
      const { committed } = entry;
      const before = uuidOf(committed);
      const after = uuidOf(version);
      if (before !== after) {
        if (uuids.get(before) === entry.ref) uuids.delete(before);
        if (after !== '') uuids.set(after, entry.ref);
      }
      count += Number(version !== undefined) - Number(entry.committed !== undefined);
      entry.committed = version;
      reindex(entry, committed, version);
      dropIfGone(entry);
    },
    revert: (entry, version) => {
      setLatest(entry, version);
      dropIfGone(entry);
    },
    newest,
  };
};

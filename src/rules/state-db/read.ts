import { readInPieces } from '../../codec/reading.ts';
import { readingStateDb, type StateDb, type StateManifest, type StateRow } from '../../codec/state-db.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import type { StoredRow } from '../../store/durable.ts';
import type { Schema } from '../../store/schema.ts';
import { databaseSchema } from '../versions.ts';
import { fieldsOf, hasRows } from './columns.ts';

/** A database of another pool, as this one would keep it. Nothing of it is trusted but its form. */
export interface ReadState {
  readonly manifest: StateManifest;
  readonly rows: readonly StoredRow[];
  /** What there is no place for, in sentences. */
  readonly passedOver: readonly string[];
}

/** Of XCP-ng 8.2 and XenServer 8: what releases before changed on the way is not done here. */
const schemaMinorMin = 602;
/** That are told at once. */
const faultsMax = 10;

/** Reads such a document. Throws a `DecodeFailure` that says all that is wrong, or the first of it. */
export const readState = async (
  text: string,
  schemas: ReadonlyMap<string, Schema>,
  rest: () => Promise<void>,
): Promise<ReadState> => stateIn(await readInPieces(readingStateDb(text), rest), schemas);

export const stateIn = (db: StateDb, schemas: ReadonlyMap<string, Schema>): ReadState => {
  assertVersion(db.manifest);
  const faults: string[] = [];
  const passedOver: string[] = [];
  const rows: StoredRow[] = [];
  for (const [name, given] of db.tables) {
    const schema = schemas.get(name);
    if (schema === undefined || !hasRows(schema.cls)) {
      if (given.length > 0) passedOver.push(`Rows of ${name} are not kept: ${given.length}`);
    } else {
      const read = tableOf(schema, given, faults);
      rows.push(...read.rows);
      passedOver.push(...read.unknown.map((column) => `The column ${column} of ${name} is unknown`));
    }
  }
  faults.push(...repeated(rows), ...withoutPool(db));
  if (faults.length > 0) throw new DecodeFailure(`The database cannot be taken. ${listed(faults)}`);
  return { manifest: db.manifest, rows, passedOver };
};

const listed = (faults: readonly string[]): string => {
  const more = faults.length - faultsMax;
  return `${faults.slice(0, faultsMax).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
};

const assertVersion = ({ major, minor }: StateManifest): void => {
  if (major === databaseSchema.major && minor >= schemaMinorMin && minor <= databaseSchema.minor) return;
  const said = `The database has the schema ${major}.${minor}`;
  if (major === databaseSchema.major && minor < schemaMinorMin) {
    throw new DecodeFailure(
      `${said}; those from ${major}.${schemaMinorMin} on are read, which are of XCP-ng 8.2 and later. ` +
        'Upgrade the pool first',
    );
  }
  const newest = `${databaseSchema.major}.${databaseSchema.minor}`;
  throw new DecodeFailure(`${said}, and the newest that is known is ${newest}. Take a newer xenact`);
};

const tableOf = (schema: Schema, given: readonly StateRow[], faults: string[]) => {
  const unknown = new Set<string>();
  const rows = given.flatMap((row): readonly StoredRow[] => {
    const { ref, created, modified } = row;
    try {
      const read = fieldsOf(schema, row);
      for (const column of read.unknown) unknown.add(column);
      return [{ cls: schema.cls.name, ref, created, modified, fields: read.fields }];
    } catch (error) {
      faults.push(`${schema.cls.name} ${ref}, ${(error as Error).message}`);
      return [];
    }
  });
  return { rows, unknown: [...unknown] };
};

/** Every name is of one row, whatever its class. */
const repeated = (rows: readonly StoredRow[]): readonly string[] => {
  const refs = new Set<string>();
  const uuids = new Set<string>();
  return rows.flatMap(({ cls, ref, fields: { uuid } }) => {
    const faults: string[] = [];
    if (refs.has(ref)) faults.push(`${cls} ${ref} is there twice`);
    if (typeof uuid !== 'string' || uuid === '') faults.push(`${cls} ${ref} has no uuid`);
    else if (uuids.has(uuid)) faults.push(`the uuid ${uuid} is of two rows, one of them ${cls} ${ref}`);
    refs.add(ref);
    uuids.add(String(uuid));
    return faults;
  });
};

const withoutPool = ({ tables }: StateDb): readonly string[] => {
  const pools = tables.get('pool')?.length ?? 0;
  const hosts = tables.get('host')?.length ?? 0;
  if (pools === 0 || hosts === 0) {
    return [
      'It has no pool: a pool that is being upgraded gives such a one. Take it once the upgrade is over',
    ];
  }
  return pools > 1 ? [`It has ${pools} pools`] : [];
};

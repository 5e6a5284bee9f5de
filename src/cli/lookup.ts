import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Api } from './command.ts';

/** A record as the API gives it. */
export type ApiRecord = Readonly<Record<string, unknown>>;

/** An object with what the API says of it. */
export interface ApiRow {
  readonly ref: string;
  readonly record: ApiRecord;
}

/**
 * What the API says of an object that others name, asked for once in a command. Undefined where there is
 * none, or the caller may not see it.
 */
export type Lookup = (cls: string, ref: string) => Promise<ApiRecord | undefined>;

/** Where that many objects are asked for one by one, all of the class are asked for at once. */
const singlesMax = 20;

export const lookupOf = ({ send }: Pick<Api, 'send'>): Lookup => {
  const singles = new Map<string, Map<string, Promise<ApiRecord | undefined>>>();
  const wholes = new Map<string, Promise<ReadonlyMap<string, ApiRecord>>>();
  return async (cls, ref) => {
    if (ref === nullRef || ref === '') return undefined;
    const asked = singles.get(cls) ?? new Map<string, Promise<ApiRecord | undefined>>();
    singles.set(cls, asked);
    if (asked.size < singlesMax || asked.has(ref)) {
      const record = asked.get(ref) ?? unlessRefused(send(`${cls}.get_record`, ref), undefined);
      asked.set(ref, record);
      return record;
    }
    const whole = wholes.get(cls) ?? unlessRefused(send(`${cls}.get_all_records`), new Map());
    wholes.set(cls, whole);
    return (await whole).get(ref);
  };
};

export const unlessRefused = async <T>(answer: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Fault) return otherwise;
    throw error;
  }
};

/** Every object of a class, in the order in which the API gives them. */
export const rowsOfClass = async ({ send }: Pick<Api, 'send'>, cls: string): Promise<readonly ApiRow[]> =>
  [...((await send(`${cls}.get_all_records`)) as ReadonlyMap<string, ApiRecord>)].map(([ref, record]) => ({
    ref,
    record,
  }));

export const poolRef = async ({ send }: Pick<Api, 'send'>): Promise<Ref<'pool'>> => {
  const [pool] = (await send('pool.get_all')) as readonly Ref<'pool'>[];
  return pool as Ref<'pool'>;
};

/** The SR with a uuid, or where none is given that of the pool. */
export const srOrDefault = async (api: Pick<Api, 'send'>, uuid: string | undefined): Promise<Ref<'SR'>> =>
  uuid === undefined ? api.send('pool.get_default_SR', await poolRef(api)) : api.send('SR.get_by_uuid', uuid);

/** The object with a uuid. Rejects with UUID_INVALID. */
export const rowByUuid = async ({ send }: Pick<Api, 'send'>, cls: string, uuid: string): Promise<ApiRow> => {
  const ref = await send(`${cls}.get_by_uuid`, uuid);
  return { ref, record: await send(`${cls}.get_record`, ref) };
};

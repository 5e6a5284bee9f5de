import { shortFloat } from '../std/numbers.ts';
import { isDateTime, isStruct, type Value } from '../std/value.ts';

/** All but the characters that can be written as they are: " and \ fall out of the ranges. */
const special = /[^\x20!#-[\]-\ud7ff\ue000-\u{10ffff}]/u;
const loneSurrogates = /[\ud800-\udfff]/gu;

/** Half a surrogate pair is left out, as peers refuse the whole text for its sake. */
export const jsonString = (text: string): string =>
  special.test(text) ? JSON.stringify(text.replace(loneSurrogates, '')) : `"${text}"`;

/** Always with a fraction or an exponent, which is how the reader knows that it is a float; exact. */
export const jsonFloat = (value: number): string => {
  if (!Number.isFinite(value)) return String(value);
  const short = shortFloat(value, 16);
  const exact = Number(short) === value ? short : shortFloat(value, 17);
  return exact.includes('.') || exact.includes('e') ? exact : `${exact}.0`;
};

/** JSON has neither dates nor bytes: a date is its text, bytes are base64. */
export const jsonValue = (value: Value): string => {
  if (typeof value === 'string') return jsonString(value);
  if (typeof value === 'number') return jsonFloat(value);
  if (value === null || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (isStruct(value)) {
    let members = '';
    for (const [name, item] of value) {
      members += `${members === '' ? '' : ','}${jsonString(name)}:${jsonValue(item)}`;
    }
    return `{${members}}`;
  }
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString('base64')}"`;
  if (isDateTime(value)) return jsonString(value.dateTime);
  let items = '';
  for (const item of value as readonly Value[]) items += (items === '' ? '' : ',') + jsonValue(item);
  return `[${items}]`;
};

/** Version 1.0, which is what rpclib daemons speak. */
export const jsonCall = (method: string, params: readonly Value[], id: bigint | string): string =>
  `{"method":${jsonString(method)},"params":${jsonValue(params)},"id":${jsonValue(id)}}`;

/** The parts around the result of a success, for answers that are sent piece by piece. */
export const jsonSuccessParts = (
  version: 1 | 2,
  id: bigint | string,
): readonly [before: string, after: string] =>
  version === 1
    ? ['{"result":', `,"error":null,"id":${jsonValue(id)}}`]
    : ['{"jsonrpc":"2.0","result":', `,"id":${jsonValue(id)}}`];

/** `resultJson` is JSON already. */
export const jsonSuccess = (version: 1 | 2, id: bigint | string, resultJson: string): string => {
  const [before, after] = jsonSuccessParts(version, id);
  return before + resultJson + after;
};

export const jsonFailure = (
  version: 1 | 2,
  id: bigint | string,
  code: string,
  params: readonly string[],
): string =>
  version === 1 ? jsonFailureValue(id, [code, ...params]) : error2(1, code, params, jsonValue(id));

/**
 * The answer to a text from which no id could be read. `jsonCode` is one of those that JSON-RPC 2.0 reserves.
 */
export const jsonRefusal = (jsonCode: number, code: string, params: readonly string[]): string =>
  error2(jsonCode, code, params, 'null');

const error2 = (jsonCode: number, code: string, params: readonly string[], id: string): string => {
  const error = `{"code":${jsonCode},"message":${jsonString(code)},"data":${jsonValue(params)}}`;
  return `{"jsonrpc":"2.0","error":${error},"id":${id}}`;
};

/** A failure of version 1.0 that is any value, such as an rpclib variant. */
export const jsonFailureValue = (id: bigint | string, error: Value): string =>
  `{"result":null,"error":${jsonValue(error)},"id":${jsonValue(id)}}`;

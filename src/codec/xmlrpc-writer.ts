import { shortFloat } from '../std/numbers.ts';
import { own } from '../std/own.ts';
import { isDateTime, isStruct, type Value } from '../std/value.ts';

// All but the characters that can be written as they are: " & < > and CR fall out of the ranges, and so
// does what XML does not allow. One class without alternatives is what the engine tests fastest.
const special = /[^\t\n\x20!#-%'-;=?-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;
const everySpecial = new RegExp(special, 'gu');

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  // As it is, a CR would reach the reader as LF.
  '\r': '&#13;',
};

/** What XML cannot carry at all is left out: one odd character must not spoil a whole answer. */
export const xmlText = (text: string): string =>
  special.test(text) ? text.replace(everySpecial, (character) => own(escapes, character) ?? '') : text;

export const xmlFloat = (value: number): string => {
  if (Number.isFinite(value)) return shortFloat(value, 16);
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
};

/** A whole `<value>` element. Integers and strings bear no tag, which is how XenAPI clients expect them. */
export const xmlValue = (value: Value): string => {
  if (typeof value === 'string') return `<value>${xmlText(value)}</value>`;
  if (typeof value === 'bigint') return `<value>${value}</value>`;
  if (typeof value === 'boolean') return `<value><boolean>${value ? 1 : 0}</boolean></value>`;
  if (typeof value === 'number') return `<value><double>${xmlFloat(value)}</double></value>`;
  if (value === null) return '<value><nil/></value>';
  if (isStruct(value)) {
    let members = '';
    for (const [name, item] of value) members += xmlMember(name, xmlValue(item));
    return `<value><struct>${members}</struct></value>`;
  }
  if (value instanceof Uint8Array) {
    return `<value><base64>${Buffer.from(value).toString('base64')}</base64></value>`;
  }
  if (isDateTime(value)) return xmlDateTime(value.dateTime);
  let items = '';
  for (const item of value as readonly Value[]) items += xmlValue(item);
  return `<value><array><data>${items}</data></array></value>`;
};

export const xmlDateTime = (text: string): string =>
  `<value><dateTime.iso8601>${xmlText(text)}</dateTime.iso8601></value>`;

const xmlMember = (name: string, valueXml: string): string =>
  `<member><name>${xmlText(name)}</name>${valueXml}</member>`;

const declaration = '<?xml version="1.0"?>';

export const xmlCall = (method: string, params: readonly Value[]): string => {
  const list = params.map((param) => `<param>${xmlValue(param)}</param>`).join('');
  const name = `<methodName>${xmlText(method)}</methodName>`;
  return `${declaration}<methodCall>${name}<params>${list}</params></methodCall>`;
};

/** What comes before and after the `<value>` of an answer. */
const answer = (status: string, name: string): readonly [before: string, after: string] => {
  const first = xmlMember('Status', `<value>${status}</value>`);
  return [
    `${declaration}<methodResponse><params><param><value><struct>${first}<member><name>${name}</name>`,
    '</member></struct></value></param></params></methodResponse>',
  ];
};
const success = answer('Success', 'Value');
const failure = answer('Failure', 'ErrorDescription');

/** The parts around the `<value>` of a success, for answers that are sent piece by piece. */
export const xmlSuccessParts = success;

/** `valueXml` is a whole `<value>` element. */
export const xmlSuccess = (valueXml: string): string => success[0] + valueXml + success[1];

export const xmlFailure = (code: string, params: readonly string[]): string =>
  xmlFailureValue([code, ...params]);

/** A failure whose description is not a list of strings, such as an rpclib variant. */
export const xmlFailureValue = (error: Value): string => failure[0] + xmlValue(error) + failure[1];

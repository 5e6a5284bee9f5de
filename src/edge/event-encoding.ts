import { jsonString } from '../codec/jsonrpc-writer.ts';
import { xmlText } from '../codec/xmlrpc-writer.ts';
import type { Clock } from '../std/clock.ts';
import { inSlices } from '../std/pace.ts';
import type { RowEvent } from '../store/changes.ts';
import type { EncodedParts, Encoding, Fragments } from './encoding.ts';

/** Number of rows of each class, whose names are in lower case. */
export type RefCounts = readonly (readonly [cls: string, count: number])[];

/** Events as a list, as `event.next` answers. The snapshots are the fragments of the rows. */
export const eventsEncoding =
  (events: readonly RowEvent[], fragments: Fragments, clock: Clock): Encoding =>
  async (format) => {
    const { open, between, event, close } = format === 'xml' ? xml : json;
    const parts: (string | Buffer)[] = [];
    let glue: string = open;
    await inSlices(clock, events, (one) => {
      const [before, after] = event(one);
      if (one.version === undefined) parts.push(glue + before + after);
      else parts.push(glue + before, fragments.record(one.cls, [one.ref, one.version], format), after);
      glue = between;
    });
    parts.push(events.length === 0 ? open + close : close);
    return parts;
  };

/** The answer of `event.from` around its list of events. */
export const batchEncoding =
  (events: Encoding, counts: RefCounts, token: string): Encoding =>
  async (format) => {
    const list: EncodedParts = await events(format);
    const [before, after] = format === 'xml' ? xmlBatch(counts, token) : jsonBatch(counts, token);
    const parts = [before, ...list, after];
    // A short answer goes to many who waited for it, so it is put together once; a long one is sent in
    // pieces.
    return parts.length > joinedPartsMax ? parts : [Buffer.concat(parts.map(bytes))];
  };

const joinedPartsMax = 64;

const bytes = (part: string | Buffer): Buffer => (typeof part === 'string' ? Buffer.from(part) : part);

/** Ids and times are texts, other than their declaration says: clients have always had them so. */
const xml = {
  open: '<value><array><data>',
  between: '',
  close: '</data></array></value>',
  event: ({ cls, ref, operation, generation, version }: RowEvent): readonly [string, string] => {
    const when = xmlMember('id', generation) + xmlMember('timestamp', '0.0');
    const what = xmlMember('class', cls.toLowerCase()) + xmlMember('operation', operation);
    const head = `<value><struct>${when}${what}${xmlMember('ref', xmlText(ref))}`;
    return version === undefined
      ? [head, '</struct></value>']
      : [`${head}<member><name>snapshot</name>`, '</member></struct></value>'];
  },
};

const json = {
  open: '[',
  between: ',',
  close: ']',
  event: ({ cls, ref, operation, generation, version }: RowEvent): readonly [string, string] => {
    const when = `"id":"${generation}","timestamp":"0.0"`;
    const what = `"class":${jsonString(cls.toLowerCase())},"operation":"${operation}"`;
    const head = `{${when},${what},"ref":${jsonString(ref)}`;
    return [version === undefined ? head : `${head},"snapshot":`, '}'];
  },
};

const xmlMember = (name: string, text: string | number): string =>
  `<member><name>${name}</name><value>${text}</value></member>`;

const xmlBatch = (counts: RefCounts, token: string): readonly [string, string] => {
  const members = counts
    .map(([cls, count]) => `<member><name>${cls}</name><value><i4>${count}</i4></value></member>`)
    .join('');
  const rest = xmlMember('valid_ref_counts', `<struct>${members}</struct>`) + xmlMember('token', token);
  return ['<value><struct><member><name>events</name>', `</member>${rest}</struct></value>`];
};

const jsonBatch = (counts: RefCounts, token: string): readonly [string, string] => {
  const members = counts.map(([cls, count]) => `${jsonString(cls)}:${count}`).join(',');
  return ['{"events":', `,"valid_ref_counts":{${members}},"token":${jsonString(token)}}`];
};

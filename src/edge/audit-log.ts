import { datetime, millisecondsOf } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { AuditTrail } from './audit.ts';
import type { Route } from './route.ts';

/**
 * `/audit_log`: who changed what, one line of JSON each, oldest first; `since=<date>` leaves out what is
 * older.
 */
export const auditLogRoute = (trail: AuditTrail): Route => ({
  method: 'GET',
  path: '/audit_log',
  action: 'get_audit_log',
  handle: async (request, answer) => {
    const since = sinceOf(request.query.get('since'));
    const body = answer.begin(200, {
      'Content-Type': 'application/x-ndjson; charset=utf-8',
      'Cache-Control': 'no-cache, no-store',
    });
    try {
      for await (const chunk of since === undefined ? trail.read() : newer(trail.read(), since)) {
        await body.write(chunk);
      }
      await body.end();
    } catch (error) {
      body.fail();
      throw error;
    }
  },
});

/** As lines begin: `{"at":"2026-08-21T02:00:23.000Z"`. */
const sinceOf = (text: string | null): string | undefined => {
  if (text === null || text === '') return undefined;
  try {
    return `{"at":"${new Date(millisecondsOf(datetime.read(text, 'since'))).toISOString()}`;
  } catch {
    throw new Fault('INVALID_VALUE', ['since', text.slice(0, 64)]);
  }
};

/** Lines follow one another in time, so everything after the first that is new enough is too. */
const newer = async function* (chunks: AsyncIterable<Uint8Array>, since: string): AsyncGenerator<Uint8Array> {
  let rest = Buffer.alloc(0);
  let passing = false;
  for await (const chunk of chunks) {
    if (passing) {
      yield chunk;
      continue;
    }
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf('\n'); end >= 0 && !passing; end = rest.indexOf('\n')) {
      passing = rest.toString('utf8', 0, since.length) >= since;
      if (!passing) rest = rest.subarray(end + 1);
    }
    if (passing) yield rest;
  }
};

import { intOf, member, stringOf } from '../../std/reader.ts';
import { lost, type XenopsCall } from './call.ts';
import { type XenopsUpdates, xenopsUpdatesOf } from './tasks.ts';

/** How long a daemon holds a question for updates before it answers that there are none. */
const POLL_S = 30;
/** What the answer may take beyond that. */
const POLL_GRACE_MS = 15_000;

/** A place in a daemon's updates, good for as long as that daemon lives. */
export interface Cursor {
  readonly instanceId: string;
  readonly lastId: number | undefined;
}

export const instanceOf = (call: XenopsCall, debugInfo: string, signal: AbortSignal): Promise<string> =>
  call('query', debugInfo, { unit: null }, (value) => stringOf(member(value, 'instance_id')), { signal });

export const lastIdOf = (call: XenopsCall, debugInfo: string, signal: AbortSignal): Promise<number> =>
  call('UPDATES.last_id', debugInfo, {}, (value) => Number(intOf(value)), { signal });

/**
 * Waits for what came after the cursor. A daemon that restarted numbers its updates from 1 again, so a
 * number that went back, or a daemon that is silent and calls itself otherwise, is one that was lost.
 */
export const pollUpdates = async (
  call: XenopsCall,
  debugInfo: string,
  cursor: Cursor,
  signal: AbortSignal,
  pollS = POLL_S,
): Promise<XenopsUpdates> => {
  const args = {
    last_id: cursor.lastId === undefined ? undefined : BigInt(cursor.lastId),
    timeout: BigInt(pollS),
  };
  const timeoutMs = pollS * 1000 + POLL_GRACE_MS;
  const found = await call('UPDATES.get', debugInfo, args, xenopsUpdatesOf, { timeoutMs, signal });
  const silent = found.barriers.length === 0 && found.updates.length === 0;
  const wentBack = cursor.lastId !== undefined && found.next < cursor.lastId;
  if (wentBack || (silent && (await instanceOf(call, debugInfo, signal)) !== cursor.instanceId)) {
    throw lost('the daemon has restarted');
  }
  return found;
};

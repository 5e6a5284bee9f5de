import { type DestinationStream, pino } from 'pino';
import type { Log } from '../std/log.ts';
import { logged } from '../std/logged.ts';

/**
 * JSON lines, on stderr unless said otherwise. Of what is noted with a line only what `logged` lets through
 * is in it.
 */
export const xenactLog = (
  level: string,
  to: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Log => pino({ level, base: null, formatters: { log: logged } }, to);

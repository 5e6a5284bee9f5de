import { type DestinationStream, pino } from 'pino';
import type { Log } from '../std/log.ts';
import { logged } from '../std/logged.ts';

export const stderr = (): DestinationStream => pino.destination({ dest: 2, sync: true });

/**
 * JSON lines, on stderr unless said otherwise. Of what is noted with a line only what `logged` lets through
 * is in it.
 */
export const xenactLog = (level: string, to: DestinationStream = stderr()): Log =>
  pino({ level, base: null, formatters: { log: logged } }, to);

import { pino } from 'pino';
import type { Log } from '../std/log.ts';

/** JSON lines on stderr. Whatever is called a password or a session never reaches them. */
export const xenactLog = (level: string): Log =>
  pino(
    {
      level,
      base: null,
      redact: ['password', 'session', '*.password', '*.session', 'pwd', '*.pwd'],
      serializers: {
        error: (error: unknown) => (error instanceof Error ? pino.stdSerializers.err(error) : error),
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );

import { setTimeout as pause } from 'node:timers/promises';
import type { Handled, Inspection } from '../pool/inspection.ts';
import { jsonOf } from '../std/reader.ts';
import { askHost } from './ask-host.ts';
import { type Environment, readFlags, UsageError } from './flags.ts';
import { credentialsFor, hostFlags } from './host-command.ts';
import { inspectionText, messagesText } from './inspect-text.ts';

const help = `Usage: xenact inspect [FLAG ...]

Shows what the hosts of a pool do now: objects that are awake with what they run and what waits, links, how
far each host's database is, and open tasks. Needs a user with the role pool-admin.

  --url URL        a host of the pool (default: http://127.0.0.1:8080)
  --user USER      (default: root)
  --password PW    or XENACT_ROOT_PASSWORD in the environment
  --host HOST      only this host, by name, address, uuid or reference
  --actor REF      the last messages of one object, on the host that --host names
  --every SECONDS  show it again and again (default: 2 on a terminal, else once)
  --json           for programs: one JSON document, once
`;

export const inspectFlags = {
  ...hostFlags,
  host: { type: 'string' },
  actor: { type: 'string' },
  every: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

const everySecondsDefault = 2;
const clearScreen = '\u001b[2J\u001b[H';

export const inspectCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const given = readFlags(args, inspectFlags, `\n${help}`).values;
  if (given.help) return write(help);
  const auth = credentialsFor('inspect', given, environment);
  const url = new URL('/inspect', given.url);
  if (given.host !== undefined) url.searchParams.set('host', given.host);
  if (given.actor !== undefined) url.searchParams.set('actor', given.actor);
  const look = (): Promise<string> => askHost('GET', url, auth);
  if (given.json) return write(await look());
  const every = given.every === undefined ? undefined : Number(given.every);
  if (every !== undefined && !(every > 0)) throw new UsageError('--every must be a number of seconds');
  const again = every ?? (process.stdout.isTTY ? everySecondsDefault : undefined);
  for (;;) {
    const seen = jsonOf(await look(), 'the answer of the host');
    const text =
      given.actor === undefined ? inspectionText(seen as Inspection[]) : messagesText(seen as Handled[]);
    if (again === undefined) return write(text);
    write(`${clearScreen}${text}`);
    await pause(again * 1000);
  }
};

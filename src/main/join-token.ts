import { parseArgs } from 'node:util';
import { joinPaths } from '../objects/membership.ts';
import { askHost } from './ask-host.ts';
import { UsageError } from './options.ts';

const help = `Usage: xenact join-token [FLAG ...]

Asks the coordinator of a pool, on its own machine, for a token with which one host may join within an hour:
xenact up --join https://COORDINATOR:8443 --join-token TOKEN. The token says by which certificate the coordinator
is known, so that the host that joins tells nothing to anybody else. Needs a user with the role pool-admin.

  --url URL        the coordinator (default: http://127.0.0.1:8080)
  --user USER      (default: root)
  --password PW    or XENACT_ROOT_PASSWORD in the environment
`;

export const joinTokenFlags = {
  url: { type: 'string', default: 'http://127.0.0.1:8080' },
  user: { type: 'string', default: 'root' },
  password: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export const joinTokenCommand = async (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  write: (text: string) => void,
): Promise<void> => {
  const given = parsed(args);
  if (given.help) return write(help);
  const password = given.password ?? environment['XENACT_ROOT_PASSWORD'];
  if (password === undefined)
    throw new UsageError('xenact join-token needs --password, or XENACT_ROOT_PASSWORD');
  write(await askHost('POST', new URL(joinPaths.token, given.url), `${given.user}:${password}`));
};

const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: joinTokenFlags, strict: true, allowPositionals: false })
      .values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${help}`);
  }
};

import { joinPaths } from '../objects/membership.ts';
import { askHost } from './ask-host.ts';
import { type Environment, readFlags } from './flags.ts';
import { credentialsFor, hostFlags } from './host-command.ts';

const help = `Usage: xenact join-token [FLAG ...]

Asks the coordinator of a pool, on its own machine, for a token with which one host may join within an hour:
xenact up --join https://COORDINATOR:8443 --join-token TOKEN. The token says by which certificate the
coordinator is known, so that the host that joins tells nothing to anybody else. Needs a user with the role
pool-admin.

  --url URL        the coordinator (default: http://127.0.0.1:8080)
  --user USER      (default: root)
  --password PW    or XENACT_ROOT_PASSWORD in the environment
`;

export const joinTokenFlags = hostFlags;

export const joinTokenCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const given = readFlags(args, joinTokenFlags, `\n${help}`).values;
  if (given.help) return write(help);
  const auth = credentialsFor('join-token', given, environment);
  write(await askHost('POST', new URL(joinPaths.token, given.url), auth));
};

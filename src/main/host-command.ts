import { type Environment, UsageError } from './flags.ts';

/** The flags of commands that ask a running host something, on behalf of a user. */
export const hostFlags = {
  url: { type: 'string', default: 'http://127.0.0.1:8080' },
  user: { type: 'string', default: 'root' },
  password: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** User and password for the host. Throws a UsageError without a password. */
export const credentialsFor = (
  command: string,
  { user, password }: { readonly user: string; readonly password?: string | undefined },
  environment: Environment,
): string => {
  const found = password ?? environment['XENACT_ROOT_PASSWORD'];
  if (found === undefined)
    throw new UsageError(`xenact ${command} needs --password, or XENACT_ROOT_PASSWORD`);
  return `${user}:${found}`;
};

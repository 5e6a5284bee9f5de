import { type ParseArgsConfig, parseArgs } from 'node:util';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Of commands that speak with the host of a data folder. */
export const folderFlags = {
  data: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** A command line that cannot be obeyed; the message tells what to write instead. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/**
 * The flags of a command as they were given, and what stands between them where it takes that. Throws a
 * UsageError that ends with `advice`.
 */
export const readFlags = <
  T extends NonNullable<ParseArgsConfig['options']>,
  const More extends boolean = false,
>(
  args: readonly string[],
  options: T,
  advice: string,
  allowPositionals: More = false as More,
) => {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${advice}`);
  }
};

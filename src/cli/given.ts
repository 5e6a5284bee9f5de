import { CommandFailure, ParameterFailure } from './failures.ts';

/** What was given after the name of a command, in order. Of one name that comes twice the first counts. */
export interface CommandWords {
  readonly pairs: readonly (readonly [name: string, value: string])[];
  get(name: string): string | undefined;
  /** Throws where it was not given. */
  need(name: string): string;
  /** Throws where it is neither yes nor no in any of their spellings. */
  flag(name: string): boolean;
  /** What was given as `prefix:key=value`. */
  map(prefix: string): ReadonlyMap<string, string>;
}

export const givenOf = (pairs: CommandWords['pairs']): CommandWords => {
  const get = (name: string): string | undefined => pairs.find(([known]) => known === name)?.[1];
  return {
    pairs,
    get,
    need: (name) => {
      const value = get(name);
      if (value === undefined) throw new ParameterFailure(name);
      return value;
    },
    flag: (name) => {
      const value = get(name);
      return value !== undefined && boolOf(name, value);
    },
    map: (prefix) =>
      new Map(
        pairs
          .filter(([name]) => name.startsWith(`${prefix}:`))
          .map(([name, value]) => [name.slice(prefix.length + 1), value]),
      ),
  };
};

const yes = ['true', 't', 'yes', 'y', '1'];
const no = ['false', 'f', 'no', 'n', '0'];

export const boolOf = (name: string, text: string): boolean => {
  if (yes.includes(text.toLowerCase())) return true;
  if (no.includes(text.toLowerCase())) return false;
  throw new CommandFailure(
    `Failed to parse parameter '${name}': expecting true or false (or yes, no, 1, 0 and the like)`,
  );
};

const units = ['b', 'k', 'm', 'g', 't'];

/** A whole number, of bytes with or without a unit, which is a power of 1024. */
export const sizeOf = (name: string, text: string): bigint => {
  const parts = /^(-?\d{1,19})\s*(?:([kmgt])(?:i?b)?|b(?:ytes)?)?$/i.exec(text.trim());
  const size =
    parts === null
      ? undefined
      : BigInt(parts[1] ?? 0) << BigInt(10 * units.indexOf(parts[2]?.toLowerCase() ?? 'b'));
  if (size !== undefined && size >= -(1n << 63n) && size < 1n << 63n) return size;
  throw new CommandFailure(
    `Failed to parse parameter '${name}': expecting an integer, with KiB, MiB, GiB or TiB where it is a size`,
  );
};

export const floatOf = (name: string, text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new CommandFailure(`Failed to parse parameter '${name}': expecting a number`);
  return value;
};

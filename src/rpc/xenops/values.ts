// What the codings of all xenopsd types share. Names match in any case; integers may come as strings, as
// the XML flavour has them; readers throw a `DecodeFailure` that says what was expected.

import { variantOf } from '../../codec/rpclib.ts';
import { type DeviceId, type Kept, keptIn, type XenopsDisk } from '../../drivers/hypervisor/hypervisor.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { intOf, stringOf, textsOf, tupleOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';

/** One of `names`, which are compared in any case. */
export const nameOf = <T extends string>(value: Value, names: readonly T[], what: string): T => {
  const given = variantOf(value, what).tag;
  const found = names.find((name) => name.toLowerCase() === given.toLowerCase());
  if (found === undefined) {
    throw new DecodeFailure(`Expected ${what} to be one of ${names.join(', ')}, got "${given.slice(0, 40)}"`);
  }
  return found;
};

/** Like `nameOf`, for a member that may be missing or of a later version. */
export const nameOr = <T extends string>(value: Value | undefined, names: readonly T[], otherwise: T): T => {
  if (value === undefined) return otherwise;
  const { tag } = variantOf(value);
  return names.find((name) => name.toLowerCase() === tag.toLowerCase()) ?? otherwise;
};

export const numberOf = (value: unknown, what: string): number => Number(intOf(value, what));

export const mapOf = (value: Value | undefined, what: string): ReadonlyMap<string, string> =>
  textsOf(value ?? new Map(), what);

/** A record without the members that are undefined, which is how optional ones are told. */
export const present = <T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never;

export const diskValue = (disk: XenopsDisk): Value => [disk[0], disk[1]];

export const diskOf = (value: Value): XenopsDisk => {
  const { payload } = variantOf(value, 'a disk');
  return [nameOf(value, ['Local', 'VDI'], 'a disk'), stringOf(payload ?? '', 'the place of a disk')];
};

export const deviceIdOf = (value: Value): DeviceId => {
  const [vm, device] = tupleOf(value, 2, 'the id of a device').map((each) =>
    stringOf(each, 'the id of a device'),
  );
  return [vm as string, device as string];
};

export const keptOf = (value: Value): Kept => keptIn(mapOf(value, 'kept'));

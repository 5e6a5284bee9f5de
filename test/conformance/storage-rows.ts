import type { Rows } from './vm-rows.ts';

// Rows as the cases of repositories and disks describe them.

type Fields = Readonly<Record<string, any>>;

export const sr = '<sr>';
export const vdi = '<vdi>';

const row = (given: Fields, cls: string): Fields =>
  Object.fromEntries(
    Object.entries(given)
      .filter(([key]) => key.startsWith(`${cls}.`))
      .map(([key, value]) => [key.slice(cls.length + 1), value]),
  );

const typed = (fields: Fields): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? new Map(Object.entries(value))
        : value,
    ]),
  );

const numbered = (name: string, all: readonly Record<string, unknown>[]): Rows[string] =>
  Object.fromEntries(all.map((one, i) => [`OpaqueRef:${name}${i}`, one]));

/** A shared repository with one attached PBD and one disk, but for what a case says. */
export const storageRows = (given: Fields, withDisk: boolean): Rows => {
  const { VDIs: disks = [], ...repository } = row(given, 'SR');
  const drives: readonly Fields[] = given['VBDs'] ?? [];
  const features: readonly string[] = given['SM.features'] ?? [];
  const pbd = { SR: sr, host: 'OpaqueRef:host', currently_attached: given['PBD.currently_attached'] ?? true };
  const driver = {
    type: given['SR.type'] ?? 'sm',
    features: new Map(features.map((name) => [name, 1n])),
  };
  const disk = { SR: sr, type: 'user', managed: true, ...typed(row(given, 'VDI')) };
  return {
    pool: { 'OpaqueRef:pool': typed(row(given, 'pool')) },
    SM: given['SM'] === null ? {} : { 'OpaqueRef:sm': driver },
    SR: { [sr]: { type: 'sm', shared: true, ...typed(repository) } },
    PBD: given['PBDs'] === undefined ? { 'OpaqueRef:pbd': pbd } : {},
    VDI: {
      ...(withDisk ? { [vdi]: disk } : {}),
      ...numbered(
        'vdi',
        (disks as Fields[]).map((one) => ({ SR: sr, ...typed(one) })),
      ),
    },
    VM: numbered(
      'vm',
      drives.map((one) => ({ is_a_snapshot: one['VM.is_a_snapshot'] ?? false })),
    ),
    VBD: numbered(
      'vbd',
      drives.map(({ 'VM.is_a_snapshot': _, ...drive }, i) => ({
        ...{ VDI: vdi, VM: `OpaqueRef:vm${i}`, mode: 'RW' },
        ...typed(drive),
      })),
    ),
  };
};

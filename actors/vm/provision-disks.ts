import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';

/** A disk that a template wants made for the VM that is installed from it. */
export interface ProvisionDisk {
  readonly device: string;
  readonly sizeBytes: bigint;
  /** Uuid of a repository; empty: the pool's default. */
  readonly sr: string;
  readonly bootable: boolean;
  readonly type: 'system' | 'user';
}

const textMax = 65_536;
export const provisionDisksMax = 64;

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const bad = (reason: string): never => {
  throw new Fault('INVALID_VALUE', ['other_config:disks', reason]);
};

const decoded = (text: string): string =>
  text.replaceAll(/&([a-z]*);?/g, (_, name: string) => own(entities, name) ?? bad(`&${name} is not known`));

const attributesOf = (text: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>();
  const rest = text.replaceAll(
    /\s+([A-Za-z_-]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/g,
    (_, name, double, single) => {
      if (found.has(name)) bad(`${name} is given twice`);
      found.set(name, decoded(double ?? single));
      return '';
    },
  );
  if (rest.trim() !== '') bad(`"${rest.trim().slice(0, 40)}" is not an attribute`);
  return found;
};

const diskOf = (attributes: ReadonlyMap<string, string>): ProvisionDisk => {
  const required = (name: string): string => attributes.get(name) ?? bad(`a disk has no ${name}`);
  const size = required('size');
  if (!/^\d{1,18}$/.test(size) || BigInt(size) === 0n) bad(`"${size.slice(0, 40)}" is not a size in bytes`);
  const type = attributes.get('type') ?? 'user';
  if (type !== 'system' && type !== 'user') return bad(`"${type.slice(0, 40)}" is not a type of disk`);
  return {
    device: required('device'),
    sizeBytes: BigInt(size),
    sr: attributes.get('sr') ?? '',
    bootable: attributes.get('bootable')?.toLowerCase() === 'true',
    type,
  };
};

/** Reads `<provision><disk device size sr bootable type/>...</provision>`, and nothing else. */
export const readProvisionDisks = (text: string): readonly ProvisionDisk[] => {
  if (text.length > textMax) bad(`it is longer than ${textMax} characters`);
  const body = text.replace(/^\s*<\?xml[^<>]*\?>/, '').trim();
  if (/^<provision\s*\/>$/.test(body)) return [];
  const inside =
    /^<provision\s*>([\s\S]*)<\/provision\s*>$/.exec(body)?.[1] ?? bad('it is not a <provision> element');
  const disks: ProvisionDisk[] = [];
  const rest = inside.replaceAll(
    /<disk((?:\s+[A-Za-z_-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(?:\/>|>\s*<\/disk\s*>)/g,
    (_, all) => {
      disks.push(diskOf(attributesOf(all)));
      return '';
    },
  );
  if (rest.trim() !== '') bad(`"${rest.trim().slice(0, 40)}" is not a <disk> element`);
  if (disks.length > provisionDisksMax) bad(`it has more than ${provisionDisksMax} disks`);
  return disks;
};

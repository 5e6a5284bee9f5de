import { DecodeFailure } from '../../codec/limits.ts';
import {
  boolOf,
  intOf,
  listOf,
  member,
  optionalMember,
  stringOf,
  structOf,
  variantOf,
} from '../../codec/rpclib.ts';
import type { Value } from '../../std/value.ts';
import type { Probed, SrStat, StoragePlugin, Volume } from './storage.ts';

// What SMAPIv3 scripts answer, checked. Every reader throws a DecodeFailure that names what is wrong.

const VOLUMES_MAX = 20_000;
const LIST_MAX = 1_000;
const TEXT_MAX = 64 * 1024;
const KEY_MAX = 4_096;
const HEALTHS = ['Healthy', 'Recovering', 'Unreachable', 'Unavailable'] as const;
const API_VERSIONS: readonly string[] = ['5.0', '3.0'];

export interface ScriptVolume extends Volume {
  /** Where its datapaths find it, best first. */
  readonly uris: readonly string[];
}

export const readNothing = (): void => {};

export const readText = (value: Value, what = 'the text', max = TEXT_MAX): string => {
  const text = stringOf(value, what);
  if (text.length > max) throw new DecodeFailure(`Expected ${what} to have at most ${max} characters`);
  return text;
};

const textIn = (value: Value, name: string): string => readText(member(value, name), name);

const optional = (value: Value, name: string): Value | undefined => optionalMember(value, name) ?? undefined;

const textOr = (value: Value, name: string, other: string): string => {
  const found = optional(value, name);
  return found === undefined ? other : readText(found, name);
};

const bytesIn = (value: Value, name: string): bigint => {
  const bytes = intOf(member(value, name), name);
  if (bytes < 0n) throw new DecodeFailure(`Expected ${name} not to be negative, got ${bytes}`);
  return bytes;
};

const listIn = <T>(value: Value, max: number, what: string, read: (item: Value) => T): readonly T[] => {
  const items = listOf(value, what);
  if (items.length > max) throw new DecodeFailure(`Expected at most ${max} ${what}, got ${items.length}`);
  return items.map(read);
};

export const readTextMap = (value: Value, what = 'the configuration'): ReadonlyMap<string, string> => {
  const members = structOf(value, what);
  if (members.size > LIST_MAX)
    throw new DecodeFailure(`Expected ${what} to have at most ${LIST_MAX} members`);
  return new Map([...members].map(([name, item]) => [readText(name), readText(item, `${what}.${name}`)]));
};

const textMapOr = (value: Value, name: string): ReadonlyMap<string, string> =>
  readTextMap(optional(value, name) ?? new Map(), name);

const textsOr = (value: Value, name: string): readonly string[] =>
  listIn(optional(value, name) ?? [], LIST_MAX, name, (item) => readText(item, name));

/** Without what the folder tells: `type`, `driverFilename`, and the features that scripts imply. */
export const readPlugin = (value: Value) => {
  const requiredApiVersion = textIn(value, 'required_api_version');
  if (!API_VERSIONS.includes(requiredApiVersion)) {
    throw new DecodeFailure(
      `Expected required_api_version to be one of ${API_VERSIONS}, got ${requiredApiVersion}`,
    );
  }
  return {
    name: textIn(value, 'name'),
    description: textIn(value, 'description'),
    vendor: textIn(value, 'vendor'),
    copyright: textIn(value, 'copyright'),
    version: textIn(value, 'version'),
    requiredApiVersion,
    features: textsOr(value, 'features'),
    configuration: textMapOr(value, 'configuration'),
    requiredClusterStack: textsOr(value, 'required_cluster_stack'),
  } satisfies Omit<StoragePlugin, 'type' | 'driverFilename' | 'features'> & { features: readonly string[] };
};

export const readSrStat = (value: Value): SrStat => {
  const { tag } = variantOf(member(value, 'health'), 'health');
  const health = HEALTHS.find((name) => name.toLowerCase() === tag.toLowerCase());
  if (health === undefined) throw new DecodeFailure(`Expected health to be one of ${HEALTHS}, got ${tag}`);
  return {
    name: textIn(value, 'name'),
    description: textIn(value, 'description'),
    freeBytes: bytesIn(value, 'free_space'),
    totalBytes: bytesIn(value, 'total_space'),
    clustered: boolOf(member(value, 'clustered'), 'clustered'),
    health,
  };
};

export const readVolume = (value: Value): ScriptVolume => {
  const key = readText(member(value, 'key'), 'key', KEY_MAX);
  if (key === '') throw new DecodeFailure('Expected the key of a volume not to be empty');
  const uuid = textOr(value, 'uuid', '');
  return {
    key,
    uuid: uuid === '' ? undefined : uuid,
    name: textIn(value, 'name'),
    description: textIn(value, 'description'),
    readWrite: boolOf(member(value, 'read_write'), 'read_write'),
    sharable: boolOf(optional(value, 'sharable') ?? false, 'sharable'),
    virtualSizeBytes: bytesIn(value, 'virtual_size'),
    physicalUtilisationBytes: bytesIn(value, 'physical_utilisation'),
    keys: textMapOr(value, 'keys'),
    uris: textsOr(value, 'uri'),
  };
};

export const readVolumes = (value: Value): readonly ScriptVolume[] =>
  listIn(value, VOLUMES_MAX, 'volumes', readVolume);

export const readProbed = (value: Value): readonly Probed[] =>
  listIn(value, LIST_MAX, 'probe results', (item) => {
    const sr = optional(item, 'sr');
    const uuid = sr === undefined ? '' : textOr(sr, 'uuid', '');
    return {
      configuration: textMapOr(item, 'configuration'),
      complete: boolOf(member(item, 'complete'), 'complete'),
      extraInfo: textMapOr(item, 'extra_info'),
      ...(uuid !== '' && { uuid }),
      ...(sr !== undefined && { stat: readSrStat(sr) }),
    };
  });

/** Where a volume's bytes are: `[["XenDisk", {params, extra, backend_type}], ["File", {path}], ...]`. */
export const readBackend = (value: Value): Value => {
  listIn(member(value, 'implementations'), LIST_MAX, 'implementations', (item) => {
    const { tag, payload } = variantOf(item, 'an implementation');
    return structOf(payload ?? null, `what ${tag} says`);
  });
  return value;
};

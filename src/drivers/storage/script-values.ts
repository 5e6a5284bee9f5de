import { variantOf } from '../../codec/rpclib.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import {
  boolOf,
  itemsOf,
  member,
  naturalOf,
  optionalMember,
  required,
  stringOf,
  structOf,
  textsOf,
} from '../../std/reader.ts';
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

export const readText = (value: unknown, what = 'the text'): string => stringOf(value, what, TEXT_MAX);

const textIn = (value: unknown, name: string): string => required(value, name, readText);

/** A member that is missing or null. */
const absent = (value: unknown, name: string): Value | undefined => optionalMember(value, name) ?? undefined;

const textOr = (value: unknown, name: string, other: string): string =>
  readText(absent(value, name) ?? other, name);

export const readTextMap = (value: unknown, what = 'the configuration'): ReadonlyMap<string, string> =>
  textsOf(value, what, LIST_MAX, TEXT_MAX);

const textMapOr = (value: unknown, name: string): ReadonlyMap<string, string> =>
  readTextMap(absent(value, name) ?? new Map(), name);

const textListOr = (value: unknown, name: string): readonly string[] =>
  itemsOf(absent(value, name) ?? [], readText, name, LIST_MAX);

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
    features: textListOr(value, 'features'),
    configuration: textMapOr(value, 'configuration'),
    requiredClusterStack: textListOr(value, 'required_cluster_stack'),
  } satisfies Omit<StoragePlugin, 'type' | 'driverFilename' | 'features'> & { features: readonly string[] };
};

export const readSrStat = (value: Value): SrStat => {
  const { tag } = variantOf(member(value, 'health'), 'health');
  const health = HEALTHS.find((name) => name.toLowerCase() === tag.toLowerCase());
  if (health === undefined) throw new DecodeFailure(`Expected health to be one of ${HEALTHS}, got ${tag}`);
  return {
    name: textIn(value, 'name'),
    description: textIn(value, 'description'),
    freeBytes: required(value, 'free_space', naturalOf),
    totalBytes: required(value, 'total_space', naturalOf),
    clustered: required(value, 'clustered', boolOf),
    health,
  };
};

/** Of `SR.collapse`, how much it leaves to do. */
export const readLeft = (value: Value): number => Number(required(value, 'left', naturalOf));

export const readVolume = (value: Value): ScriptVolume => {
  const key = stringOf(member(value, 'key'), 'key', KEY_MAX);
  if (key === '') throw new DecodeFailure('Expected the key of a volume not to be empty');
  const uuid = textOr(value, 'uuid', '');
  return {
    key,
    uuid: uuid === '' ? undefined : uuid,
    name: textIn(value, 'name'),
    description: textIn(value, 'description'),
    readWrite: required(value, 'read_write', boolOf),
    sharable: boolOf(absent(value, 'sharable') ?? false, 'sharable'),
    virtualSizeBytes: required(value, 'virtual_size', naturalOf),
    physicalUtilisationBytes: required(value, 'physical_utilisation', naturalOf),
    keys: textMapOr(value, 'keys'),
    tracked: boolOf(absent(value, 'cbt_enabled') ?? false, 'cbt_enabled'),
    uris: textListOr(value, 'uri'),
  };
};

export const readVolumes = (value: Value): readonly ScriptVolume[] =>
  itemsOf(value, readVolume, 'volumes', VOLUMES_MAX);

export const readProbed = (value: Value): readonly Probed[] =>
  itemsOf(
    value,
    (item) => {
      const sr = absent(item, 'sr');
      const uuid = sr === undefined ? '' : textOr(sr, 'uuid', '');
      return {
        configuration: textMapOr(item, 'configuration'),
        complete: required(item, 'complete', boolOf),
        extraInfo: textMapOr(item, 'extra_info'),
        ...(uuid !== '' && { uuid }),
        ...(sr !== undefined && { stat: readSrStat(sr) }),
      };
    },
    'probe results',
    LIST_MAX,
  );

const BITMAP_MAX = 16 * 1024 * 1024;
const BLOCK_BYTES = 64n * 1024n;

/** One bit for each block of 64 KiB, in base64. */
export const readChangedBlocks = (value: Value): string => {
  const granularity = required(value, 'granularity', naturalOf);
  if (granularity !== BLOCK_BYTES) {
    throw new DecodeFailure(`Expected a granularity of ${BLOCK_BYTES} bytes, got ${granularity}`);
  }
  return stringOf(member(value, 'bitmap'), 'bitmap', BITMAP_MAX);
};

/** Where a volume's bytes are: `[["XenDisk", {params, extra, backend_type}], ["File", {path}], ...]`. */
export const readBackend = (value: Value): Value => {
  itemsOf(
    member(value, 'implementations'),
    (item) => {
      const { tag, payload } = variantOf(item, 'an implementation');
      return structOf(payload ?? null, `what ${tag} says`);
    },
    'implementations',
    LIST_MAX,
  );
  return value;
};

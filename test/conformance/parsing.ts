import { parseWlbUrl } from '../../actors/pool/wlb-url.ts';
import { isVifDevice } from '../../actors/vif/creating.ts';
import { CommandLineError, parseCommandLine } from '../../src/cli/arguments.ts';
import { type DateTime, datetime, millisecondsOf } from '../../src/model/types.ts';
import { features, isEnabled } from '../../src/rules/features.ts';
import { allKeys, assertPair, type KeyRule, mergedKeys, withDefaults } from '../../src/rules/map-keys.ts';
import { compareNumbers, compareVersions, isAtLeast, numbersOf } from '../../src/rules/versions.ts';
import * as cpu from '../../src/std/cpu-features.ts';
import { Fault } from '../../src/std/fault.ts';
import { refKind, uuidOf } from '../../src/std/ids.ts';
import { loggedArgument } from '../../src/std/logged.ts';
import { type Adapter, against, byCall, mapOf, outcome, skip } from './subject.ts';

const rejected = { rejected: true };

export const dates: Adapter = ({ when }) => {
  let date: DateTime;
  try {
    date = datetime.read(when['iso8601'], 'date');
  } catch (error) {
    if (error instanceof Fault) return rejected;
    throw error;
  }
  return { printed: date, unix: String(millisecondsOf(date) / 1_000) };
};

export const ids = byCall({
  'parse uuid': ({ when }) => {
    const canonical = uuidOf(when['string']);
    return canonical === undefined ? rejected : { accepted: true, canonical };
  },
  'Ref.of_string then Ref.string_of': ({ when }) => ({
    kind: refKind(when['string']),
    printed: when['string'],
  }),
});

export const featureRestrictions = byCall({
  'parse restrictions': ({ given, then }) => {
    const restrictions = mapOf(given['pool.restrictions']);
    const enabled = features.filter((feature) => isEnabled(restrictions, feature));
    return against([...enabled].sort(), [...then['enabled features (set)']].sort());
  },
});

export const versions = byCall({
  compare_int_lists: ({ when }) => ({ sign: compareNumbers(when['a'], when['b']) }),
  version_numbers_of_string: ({ when }) => ({ numbers: numbersOf(when['version']) }),
  compare_versions: ({ given, when }) => ({
    sign: compareVersions(when['key'], mapOf(given['a']), mapOf(given['b'])),
  }),
  compare_all_versions: ({ given }) => ({
    value: isAtLeast(mapOf(given['candidate']), mapOf(given['reference'])),
  }),
});

export const wlbUrls = byCall({
  'split host:port': ({ when }) => outcome(() => parseWlbUrl(when['url'])),
});

export const loggedArguments = byCall({
  filter_args: ({ when }) => ({ 'logged as': loggedArgument(when['argument']) }),
});

export const vifDevices: Adapter = ({ when }) => ({ valid: isVifDevice(when['device']) });

export const commandLines: Adapter = ({ when }) => {
  try {
    const { command, params } = parseCommandLine(when['argv']);
    return { command, 'params (ordered)': params };
  } catch (error) {
    if (error instanceof CommandLineError) return { error: 'ParseError', printed: error.message };
    throw error;
  }
};

const validity: Readonly<Record<string, () => boolean>> = {
  'always valid': () => true,
  'never valid': () => false,
};

const ruleOf = (from: Readonly<Record<string, any>>): KeyRule => ({
  key: from['key'],
  ...(from['default_value'] === null ? {} : { defaultValue: from['default_value'] }),
  isValid: validity[from['is_valid_value']] ?? skip(`"${from['is_valid_value']}" is not understood`),
});

const pairs = (map: ReadonlyMap<string, string>): unknown => ({ 'ok (pairs)': [...map] });

export const mapKeys = byCall({
  add_defaults: ({ given, when }) => ({
    'map (new keys are put first)': [
      ...withDefaults(new Map(when['map']), given['requirements'].map(ruleOf)),
    ],
  }),
  validate_kvpair: ({ given, when }) =>
    outcome(() => {
      assertPair(given['field'], when['key'], when['value'], given['requirements'].map(ruleOf));
      return { ok: true };
    }),
  assert_all_keys: ({ given, when }) => {
    const allowed: readonly string[] = given['allowed keys'][given['type']] ?? [];
    return pairs(allKeys(allowed, new Map(when['value']), new Map(given['stored value'])));
  },
  assert_keys: ({ given, when }) => {
    const allowed: readonly string[] = given['allowed keys'][given['type']] ?? [];
    const stored = new Map<string, string>(given['stored value']);
    return outcome(() => pairs(mergedKeys('', allowed, new Map(when['value']), stored)));
  },
});

export const cpuFeatures = byCall({
  string_of_features: ({ when }) => ({ string: cpu.featuresText(when['features']) }),
  features_of_string: ({ when }) => {
    const features = cpu.parseFeatures(when['string']);
    return features === undefined ? rejected : { features };
  },
  extend: ({ when }) => ({ features: cpu.extend(when['a'], when['b']) }),
  zero_extend: ({ when }) => ({ features: cpu.zeroExtend(when['a'], when['length']) }),
  intersect: ({ when }) => ({ features: cpu.intersect(when['a'], when['b']) }),
  is_equal: ({ when }) => ({ value: cpu.isEqual(when['a'], when['b']) }),
  'is_subset / is_strict_subset': ({ when }) => ({
    is_subset: cpu.isSubset(when['a'], when['b']),
    is_strict_subset: cpu.isStrictSubset(when['a'], when['b']),
  }),
});

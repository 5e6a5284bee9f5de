// Goal: memory limits, device names, hardware addresses, platform flags and BIOS strings come out as clients
// of the XenAPI know them.
// Method: tables of expected values, each put to the pure function that makes them.

import { expect, test } from 'vitest';
import { biosStrings } from '../../actors/vm/bios-strings.ts';
import {
  arePinned,
  arePinnedAtStaticMax,
  areValid,
  atStaticMax,
  type MemoryConstraints,
  memoryRefusal,
  type PinnedBecause,
} from '../../actors/vm/memory-constraints.ts';
import { isOn, isSwitch, platformForGuest, restrictionRefusal } from '../../actors/vm/platform.ts';
import { deviceNumberOf, linuxDevice, xenstoreKey } from '../../src/objects/device-numbers.ts';
import { macFromSeed } from '../../src/objects/mac.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Case, conformance } from './vm-rows.ts';

const asMap = (members: Record<string, string>): Map<string, string> => new Map(Object.entries(members));

const outcome = (make: () => unknown): unknown => {
  try {
    return make();
  } catch (error) {
    if (error instanceof Fault) return { error: [error.code, ...error.params] };
    throw error;
  }
};

/** One test for a table: all cases that come out otherwise than expected, with what came out. */
const table = (
  sentence: string,
  name: string,
  found: (one: Case) => unknown,
  expected: (one: Case) => unknown = ({ then }) => then,
): void => {
  test(sentence, (context) => {
    const cases = conformance(name);
    context.skip(cases === undefined, `../shared/conformance/${name}.json is not there`);
    for (const one of cases ?? []) {
      const should = expected(one);
      if (should !== undefined) expect([one.name, outcome(() => found(one))]).toEqual([one.name, should]);
    }
  });
};

const limitsOf = (from: Record<string, number>): MemoryConstraints => ({
  static_min: BigInt(from['static_min'] ?? 0),
  dynamic_min: BigInt(from['dynamic_min'] ?? 0),
  target: BigInt(from['target'] ?? 0),
  dynamic_max: BigInt(from['dynamic_max'] ?? 0),
  static_max: BigInt(from['static_max'] ?? 0),
});

const reasons: Record<string, PinnedBecause> = {
  'VM.is_control_domain': 'control domain',
  'feature DMC restricted': 'DMC disabled',
  'VM_metrics.nested_virt': 'nested virt',
};

table('Memory limits are ordered, and pinned where ballooning is impossible', 'memory_constraints', (one) => {
  const { given, when } = one;
  if (when['call'] === 'are_pinned') return { value: arePinned(limitsOf(given)) };
  if (when['call'] === 'are_valid') return { value: areValid(limitsOf(given)) };
  if (when['call'] === 'are_valid_and_pinned_at_static_max') {
    return { value: arePinnedAtStaticMax(limitsOf(given)) };
  }
  if (when['call'] === 'reset_to_safe_defaults') {
    return Object.fromEntries(
      Object.entries(atStaticMax(limitsOf(given))).map(([key, value]) => [key, Number(value)]),
    );
  }
  return { error: memoryRefusal(limitsOf(when), reasons[given['because']]) };
});

table('Positions of disks are names and numbers that guests agree with', 'device_numbers', ({ when }) => {
  const number = deviceNumberOf(when['userdevice'], when['hvm']);
  return number === undefined
    ? { rejected: true }
    : {
        'linux device': linuxDevice(number),
        'xenstore key': xenstoreKey(number),
        'disk number': number.disk,
      };
});

table(
  'A seed gives each card the same hardware address everywhere',
  'vif_mac_from_seed',
  ({ given, when }) => ({
    'VIF.MAC': macFromSeed(given['VM.other_config'].mac_seed, when['device']),
  }),
);

table(
  'Platform flags are understood, restricted and completed',
  'platformdata',
  ({ given, when }) => {
    const platform = asMap(given['platform'] ?? when['platform'] ?? {});
    if (when['call'] === 'is_true') return { value: isOn(platform, 'test_key', when['default']) };
    if (when['call'] === 'is_valid') return { value: isSwitch(platform, 'test_key') };
    if (when['call'] === 'check_restricted_flags') {
      const refusal = restrictionRefusal(asMap(given['pool.restrictions']), platform);
      return refusal === undefined ? { ok: true } : { error: refusal };
    }
    return platformForGuest(new Map(when['platform (pairs)']), {
      firmware: given['firmware'],
      hvm: given['domain_type'] === 'hvm',
      vcpusMax: BigInt(given['VCPUs_max']),
      onlyKnown: given['filter_out_unknowns'],
    });
  },
  ({ then }) => {
    const pairs = then['platform (pairs, order as given upstream)'];
    return pairs === undefined ? then : new Map(pairs);
  },
);

table(
  'BIOS strings are completed, and bad ones named',
  'vm_misc_setters',
  ({ when }) => ({ 'VM.bios_strings': Object.fromEntries(biosStrings(asMap(when['value']))) }),
  ({ when, then }) => (when['call'] === 'VM.set_bios_strings' ? then : undefined),
);

import vm from '../../actors/vm/behaviour.ts';
import { biosStrings } from '../../actors/vm/bios-strings.ts';
import { networksOf } from '../../actors/vm/guest-agent.ts';
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
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { deviceNumberOf, linuxDevice, xenstoreKey } from '../../src/rules/device-numbers.ts';
import { macFromSeed } from '../../src/rules/mac.ts';
import { world } from '../world.ts';
import { type Adapter, against, byCall, mapOf, outcome, skip } from './subject.ts';

type Numbers = Readonly<Record<string, number>>;

const limits = (from: Readonly<Record<string, any>>): MemoryConstraints => ({
  static_min: BigInt(from['static_min'] ?? 0),
  dynamic_min: BigInt(from['dynamic_min'] ?? 0),
  target: BigInt(from['target'] ?? 0),
  dynamic_max: BigInt(from['dynamic_max'] ?? 0),
  static_max: BigInt(from['static_max'] ?? 0),
});

const numbers = (from: object): Numbers =>
  Object.fromEntries(Object.entries(from).map(([name, value]) => [name, Number(value)]));

const allowed = (refusal: Refusal | undefined): unknown =>
  refusal === undefined ? { ok: true } : { error: refusal };

/** What keeps the limits of a guest together, by the words of the cases. */
const pinning: Readonly<Record<string, PinnedBecause>> = {
  'VM.is_control_domain': 'control domain',
  'feature DMC restricted': 'DMC disabled',
  'VM_metrics.nested_virt': 'nested virt',
};

const checkLimits: Adapter = ({ given, when }) => {
  const because = given['because'] === undefined ? undefined : pinning[given['because']];
  if (given['because'] !== undefined && because === undefined)
    skip(`"${given['because']}" is not understood`);
  return allowed(memoryRefusal(limits(when), because));
};

export const memoryConstraints = byCall({
  are_pinned: ({ given }) => ({ value: arePinned(limits(given)) }),
  are_valid: ({ given }) => ({ value: areValid(limits(given)) }),
  are_valid_and_pinned_at_static_max: ({ given }) => ({ value: arePinnedAtStaticMax(limits(given)) }),
  reset_to_safe_defaults: ({ given }) => numbers(atStaticMax(limits(given))),
  'VM.set_memory_limits': checkLimits,
  assert_valid_for_current_context: checkLimits,
});

export const deviceNumbers: Adapter = ({ when }) => {
  const number = deviceNumberOf(when['userdevice'], when['hvm']);
  if (number === undefined) return { rejected: true };
  return {
    'linux device': linuxDevice(number),
    'xenstore key': xenstoreKey(number),
    'disk number': number.disk,
  };
};

export const macs: Adapter = ({ given, when }) => ({
  'VIF.MAC': macFromSeed(given['VM.other_config'].mac_seed, when['device']),
});

export const platformdata = byCall({
  is_true: ({ given, when }) => ({ value: isOn(mapOf(given['platform']), 'test_key', when['default']) }),
  is_valid: ({ given }) => ({ value: isSwitch(mapOf(given['platform']), 'test_key') }),
  check_restricted_flags: ({ given, when }) =>
    allowed(restrictionRefusal(mapOf(given['pool.restrictions']), mapOf(when['platform']))),
  sanity_check: async ({ given, when, then }) => {
    const setting = {
      firmware: given['firmware'],
      hvm: given['domain_type'] === 'hvm',
      vcpusMax: BigInt(given['VCPUs_max']),
      onlyKnown: given['filter_out_unknowns'],
    };
    const pairs = then['platform (pairs, order as given upstream)'];
    return against(
      await outcome(() => platformForGuest(new Map(when['platform (pairs)']), setting)),
      pairs === undefined ? then : new Map(pairs),
    );
  },
});

export const guestNetworks: Adapter = ({ given, then }) => {
  const present: readonly string[] = given['xenstore keys present under the guest'];
  const read: readonly (readonly [string, string])[] =
    then['(xenstore path read, networks key) in this order'];
  // The cases also list paths that are looked at in vain: what is not there is in no map.
  const expected = read.filter(([path]) => present.includes(path)).map(([path, key]) => [key, path] as const);
  return against(networksOf(new Map(present.map((path) => [path, path]))), new Map(expected));
};

/** Setters of VMs, by their names, against a VM in the state that a case gives it. */
const secureBootMark: Adapter = async ({ given, when }) => {
  const here = await world({ behaviours: [vm] });
  try {
    const self = 'OpaqueRef:vm' as Ref<'VM'>;
    await here.store.commit((tx) =>
      tx.create('VM', self, {
        uuid: 'vm',
        secureboot_certificates_state: given['VM.secureboot_certificates_state'],
      }),
    );
    return await outcome(async () => {
      await here.call(when['call'], self, when['mark']);
      const { secureboot_certificates_state } = here.store.committed.require('VM', self);
      return { 'VM.secureboot_certificates_state': secureboot_certificates_state };
    });
  } finally {
    await here.close();
  }
};

export const miscSetters = byCall({
  'VM.set_bios_strings': ({ when }) =>
    outcome(() => ({ 'VM.bios_strings': Object.fromEntries(biosStrings(mapOf(when['value']))) })),
  'VM.update_secureboot_certificates_on_boot': secureBootMark,
});

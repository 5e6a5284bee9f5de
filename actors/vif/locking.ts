import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';

/** Addresses that one card may be locked to. */
const addressesMax = 256;

const isIpv4 = (text: string): boolean => {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
};

const isIpv6 = (text: string): boolean => {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const sound = groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group));
  return sound && (halves.length === 2 ? groups.length < 8 : groups.length === 8);
};

type Allowed = 'ipv4_allowed' | 'ipv6_allowed';

/** What filters the traffic of a plugged card is set up as it is plugged, so the row must not say otherwise. */
const patchUnplugged = (tx: Tx, self: Ref<'VIF'>, changes: Partial<RecordNamed<'VIF'>>): void => {
  if (tx.require('VIF', self).currently_attached) {
    throw new Fault('NOT_IMPLEMENTED', ['Locking of a plugged VIF: unplug it first']);
  }
  tx.patch('VIF', self, changes);
};

const allow = (tx: Tx, self: Ref<'VIF'>, field: Allowed, addresses: readonly string[]): void => {
  const sound = field === 'ipv4_allowed' ? isIpv4 : isIpv6;
  if (!addresses.every(sound)) throw new Fault('INVALID_IP_ADDRESS_SPECIFIED', [field]);
  if (addresses.length > addressesMax) throw new Fault('INVALID_VALUE', [field, `more than ${addressesMax}`]);
  patchUnplugged(tx, self, { [field]: [...new Set(addresses)] });
};

interface Turn {
  readonly tx: Tx;
  readonly self: Ref;
}
const vif = (self: Ref): Ref<'VIF'> => self as Ref<'VIF'>;

const setAllowed = (field: Allowed) => ({
  decide: ({ tx, self }: Turn, { value }: { readonly value: readonly string[] }) =>
    allow(tx, vif(self), field, value),
});
const addAllowed = (field: Allowed) => ({
  decide: ({ tx, self }: Turn, { value }: { readonly value: string }) =>
    allow(tx, vif(self), field, [...tx.require('VIF', vif(self))[field], value]),
});
const removeAllowed = (field: Allowed) => ({
  decide: ({ tx, self }: Turn, { value }: { readonly value: string }) => {
    const left = tx.require('VIF', vif(self))[field].filter((one) => one !== value);
    allow(tx, vif(self), field, left);
  },
});

export const locking = {
  set_locking_mode: {
    decide: ({ tx, self }: Turn, { value }: { readonly value: RecordNamed<'VIF'>['locking_mode'] }) =>
      patchUnplugged(tx, vif(self), { locking_mode: value }),
  },
  set_ipv4_allowed: setAllowed('ipv4_allowed'),
  add_ipv4_allowed: addAllowed('ipv4_allowed'),
  remove_ipv4_allowed: removeAllowed('ipv4_allowed'),
  set_ipv6_allowed: setAllowed('ipv6_allowed'),
  add_ipv6_allowed: addAllowed('ipv6_allowed'),
  remove_ipv6_allowed: removeAllowed('ipv6_allowed'),
};

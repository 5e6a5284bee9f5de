import type { RecordNamed } from '../../src/model/class.ts';
import type { Working } from '../../src/objects/implement.ts';
import { vifForGuest, vifKey } from '../../src/rules/guest-devices.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';

/** Addresses that one card may be locked to. */
const addressesMax = 256;

/** An address, or a range of them by the length of its prefix. */
const withoutPrefix = (text: string, bits: number): string | undefined => {
  const [, address, prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  return prefix === undefined || Number(prefix) <= bits ? address : undefined;
};

const isIpv4 = (text: string): boolean => {
  const parts = (withoutPrefix(text, 32) ?? '').split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
};

const isIpv6 = (text: string): boolean => {
  const halves = (withoutPrefix(text, 128) ?? ':').split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const sound = groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group));
  return sound && (halves.length === 2 ? groups.length < 8 : groups.length === 8);
};

type Allowed = 'ipv4_allowed' | 'ipv6_allowed';
type Card = Working<'VIF'>;

/** What the card may send: of one that is plugged it counts at once, and if it cannot, the row stays. */
const change = async (working: Card, method: string, changes: Partial<RecordNamed<'VIF'>>): Promise<void> => {
  const { self, view, services } = working;
  const before = working.record;
  await working.commit((tx) => tx.patch('VIF', self, changes));
  working.undo(() =>
    working.commit((tx) => {
      const { locking_mode, ipv4_allowed, ipv6_allowed } = before;
      if (tx.get('VIF', self) !== undefined)
        tx.patch('VIF', self, { locking_mode, ipv4_allowed, ipv6_allowed });
    }),
  );
  const vm = view.require('VM', before.VM);
  const live = vm.power_state === 'Running' || vm.power_state === 'Paused';
  if (!live || !before.currently_attached) return;
  const mode = vifForGuest(view, working.record, vm).locking_mode;
  const id = [vm.uuid, vifKey(before)] as const;
  await asked(method, services.hypervisor.setVifLocking(id, mode, xenopsWork(working, method)));
};

const allow = (working: Card, field: Allowed, addresses: readonly string[]): Promise<void> => {
  const sound = field === 'ipv4_allowed' ? isIpv4 : isIpv6;
  if (!addresses.every(sound)) throw new Fault('INVALID_IP_ADDRESS_SPECIFIED', [field]);
  if (addresses.length > addressesMax) throw new Fault('INVALID_VALUE', [field, `more than ${addressesMax}`]);
  return change(working, `VIF.set_${field}`, { [field]: [...new Set(addresses)] });
};

const setAllowed = (field: Allowed) => ({
  work: (working: Card, { value }: { readonly value: readonly string[] }) => allow(working, field, value),
});
const addAllowed = (field: Allowed) => ({
  work: (working: Card, { value }: { readonly value: string }) =>
    allow(working, field, [...working.record[field], value]),
});
/** Whatever is there can be taken away. */
const removeAllowed = (field: Allowed) => ({
  work: (working: Card, { value }: { readonly value: string }) =>
    change(working, `VIF.remove_${field}`, {
      [field]: working.record[field].filter((one) => one !== value),
    }),
});

export const locking = {
  set_locking_mode: {
    work: (working: Card, { value }: { readonly value: RecordNamed<'VIF'>['locking_mode'] }) =>
      change(working, 'VIF.set_locking_mode', { locking_mode: value }),
  },
  set_ipv4_allowed: setAllowed('ipv4_allowed'),
  add_ipv4_allowed: addAllowed('ipv4_allowed'),
  remove_ipv4_allowed: removeAllowed('ipv4_allowed'),
  set_ipv6_allowed: setAllowed('ipv6_allowed'),
  add_ipv6_allowed: addAllowed('ipv6_allowed'),
  remove_ipv6_allowed: removeAllowed('ipv6_allowed'),
};

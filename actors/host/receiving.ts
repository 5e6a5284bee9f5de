import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import type { Deciding } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { fingerprintKey } from '../../src/rules/other-pool.ts';
import { openSession } from '../../src/rules/sessions.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';

/** Where a host is reached on a network, by the kind of address that its card prefers. */
const addressOn = (view: View, host: Ref<'host'>, network: Ref<'network'>): string => {
  const pif = view.require('host', host).PIFs.find((ref) => view.get('PIF', ref)?.network === network);
  const card = pif && view.get('PIF', pif);
  if (pif === undefined || card === undefined) throw new Fault('HOST_CANNOT_ATTACH_NETWORK', [host, network]);
  const address = preferred(card);
  if (address !== undefined) return address;
  const mode =
    card.primary_address_type === 'IPv4' ? card.ip_configuration_mode : card.ipv6_configuration_mode;
  throw new Fault(mode === 'None' ? 'PIF_HAS_NO_NETWORK_CONFIGURATION' : 'INTERFACE_HAS_NO_IP', [pif]);
};

const preferred = ({ primary_address_type, IP, IPv6 }: RecordNamed<'PIF'>): string | undefined => {
  if (primary_address_type === 'IPv4') return IP === '' ? undefined : IP;
  const global = IPv6.map((one) => one.replace(/\/\d+$/, '')).find((one) => !/^fe[89ab]/i.test(one));
  return global === undefined || global === '' ? undefined : `[${global}]`;
};

/**
 * Decided on the coordinator, as a pool that sends a VM speaks with that. What it is given has the rights of
 * who asks, and ends like any session.
 */
export const receive = (
  { tx, self, caller, services }: Deciding,
  { network }: { readonly network: Ref<'network'> },
): ReadonlyMap<string, string> => {
  const host = self as Ref<'host'>;
  const address = addressOn(tx, host, network);
  const asking = tx.get('session', caller.session);
  if (asking === undefined) throw new Fault('SESSION_INVALID', [caller.session]);
  const session = newRef<'session'>(services);
  const { is_local_superuser, this_user, subject, auth_user_sid, auth_user_name, pool, originator } = asking;
  const now = dateTimeOf(services.clock.now());
  openSession(tx, session, {
    ...{ is_local_superuser, this_user, subject, auth_user_sid, auth_user_name, pool, originator },
    ...{ uuid: services.random.uuid(), this_host: services.host, last_active: now, validation_time: now },
  });
  const service = (name: string): string => `https://${address}/services/${name}?session_id=${session}`;
  return new Map([
    ['SM', service('SM')],
    ['host', host],
    ['xenops', service('xenops')],
    ['session_id', session],
    ['master', `https://${services.authority()}/`],
    ...(services.fingerprint === undefined ? [] : ([[fingerprintKey, services.fingerprint]] as const)),
  ]);
};

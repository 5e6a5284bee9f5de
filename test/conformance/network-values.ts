import { uplinks } from '../../actors/pif/gateway.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { assertAddress, assertCidr, assertPort, assertPorts } from '../../src/rules/addresses.ts';
import { byCall, outcome } from './subject.ts';
import { viewOfRows } from './vm-rows.ts';

type Fields = Readonly<Record<string, any>>;

const accepted = (check: () => void): unknown =>
  outcome(() => {
    check();
    return { ok: true };
  });

const named = ([name, port]: readonly [string, number]): readonly [string, bigint] => [name, BigInt(port)];

export const networkValues = byCall({
  determine_gateway_and_dns_ifs: ({ given, when }) => {
    const rows = given['PIFs (all DHCP)'].map((pif: Fields) => [
      pif['device'],
      { ...pif, other_config: new Map(pif['other_config']), ip_configuration_mode: 'DHCP' },
    ]);
    const interfaces = [...viewOfRows({ PIF: Object.fromEntries(rows) }).all('PIF')] as readonly (readonly [
      Ref<'PIF'>,
      RecordNamed<'PIF'>,
    ])[];
    const { gateway, dns } = uplinks(interfaces, when['explicit management interface'] ?? undefined);
    return { 'gateway PIF': gateway, 'DNS PIF': dns };
  },
  assert_is_valid_tcp_udp_port: ({ when }) => accepted(() => assertPort(when['name'], BigInt(when['port']))),
  assert_is_valid_tcp_udp_port_range: ({ when }) =>
    accepted(() => assertPorts(named(when['first']), named(when['last']))),
  assert_is_valid_ip: ({ when }) =>
    accepted(() => assertAddress(when['kind'], when['field'], when['address'])),
  assert_is_valid_cidr: ({ when }) => accepted(() => assertCidr(when['kind'], when['field'], when['cidr'])),
});

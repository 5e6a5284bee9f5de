import type { RecordNamed } from '../../../src/model/class.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { HostFacts, NetworkCard } from '../../../src/objects/host-facts.ts';
import { bridgeOf, pifFacts } from '../../../src/objects/network-cards.ts';
import type { Tx } from '../../../src/store/view.ts';
import type { NewRow } from './rows.ts';

/** Guests reach their host here; it leads nowhere else. */
const internal = {
  name_label: 'Host internal management network',
  name_description: 'A private network on which a VM can talk to the host that it runs on',
  bridge: 'xenapi',
  other_config: new Map([
    ['is_guest_installer_network', 'true'],
    ['is_host_internal_management_network', 'true'],
    ['ip_begin', '169.254.0.1'],
    ['ip_end', '169.254.255.254'],
    ['netmask', '255.255.0.0'],
  ]),
} satisfies Partial<RecordNamed<'network'>>;

export const createInternalNetwork = (tx: Tx, newRow: NewRow): void => {
  for (const [, { other_config }] of tx.all('network')) {
    if (other_config.get('is_host_internal_management_network') === 'true') return;
  }
  const row = newRow('network');
  tx.create('network', row.ref, { ...internal, uuid: row.uuid });
};

/** The card that the default route leads through, else the first with an address. */
const managementCard = (cards: readonly NetworkCard[]): NetworkCard | undefined =>
  cards.find(({ gateway, ip }) => gateway !== '' && ip !== '') ?? cards.find(({ ip }) => ip !== '');

const networkOf = (tx: Tx, card: NetworkCard, newRow: NewRow): Ref<'network'> => {
  const bridge = bridgeOf(card.device);
  for (const [ref, network] of tx.all('network')) if (network.bridge === bridge) return ref;
  const row = newRow('network');
  tx.create('network', row.ref, {
    uuid: row.uuid,
    name_label: `Pool-wide network associated with ${card.device}`,
    name_description: '',
    bridge,
    MTU: BigInt(card.mtu),
    other_config: new Map(),
  });
  return row.ref;
};

/** Records new cards and renews what is known of the others; cards that are gone stay, unplugged. */
export const refreshCards = (tx: Tx, host: Ref<'host'>, facts: HostFacts, newRow: NewRow): void => {
  const known = new Map<string, Ref<'PIF'>>();
  let managed = false;
  for (const [ref, pif] of tx.all('PIF')) {
    if (pif.host !== host || !pif.physical) continue;
    known.set(pif.device, ref);
    managed ||= pif.management;
  }
  const management = managed ? undefined : managementCard(facts.cards);
  for (const card of facts.cards) {
    const ref = known.get(card.device);
    known.delete(card.device);
    const fields = {
      ...pifFacts(card, facts.nameServers),
      ...(card === management ? { management: true } : {}),
    };
    if (ref !== undefined) tx.patch('PIF', ref, fields);
    else {
      const row = newRow('PIF');
      tx.create('PIF', row.ref, {
        ...fields,
        uuid: row.uuid,
        device: card.device,
        network: networkOf(tx, card, newRow),
        host,
        VLAN: -1n,
        physical: true,
        device_name: card.device,
        ip_configuration_mode: card.ip === '' ? 'None' : 'DHCP',
      });
    }
  }
  for (const gone of known.values()) tx.patch('PIF', gone, { currently_attached: false });
};

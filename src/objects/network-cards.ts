import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Tx } from '../store/view.ts';
import type { HostFacts, NetworkCard } from './host-facts.ts';
import type { NewRow } from './new-rows.ts';

/** Bridge of the network that a card connects to: `xenbr0` for `eth0`. */
const bridgeOf = (device: string): string =>
  device.startsWith('eth') ? `xenbr${device.slice('eth'.length)}` : `br${device}`;

/** What a PIF tells of its card, as the card is now. */
const pifFacts = (card: NetworkCard, nameServers: readonly string[]): Partial<RecordNamed<'PIF'>> => ({
  MAC: card.mac,
  MTU: BigInt(card.mtu),
  currently_attached: card.up,
  IP: card.ip,
  netmask: card.netmask,
  gateway: card.gateway,
  DNS: card.ip === '' ? '' : nameServers.join(','),
  IPv6: card.ipv6,
});

/** The card that the default route leads through, else the first with an address. */
const managementCard = (cards: readonly NetworkCard[]): NetworkCard | undefined =>
  cards.find(({ gateway, ip }) => gateway !== '' && ip !== '') ?? cards.find(({ ip }) => ip !== '');

const networkOf = (tx: Tx, card: NetworkCard, newRow: NewRow): Ref<'network'> => {
  const bridge = bridgeOf(card.device);
  for (const [ref, network] of tx.all('network')) if (network.bridge === bridge) return ref;
  const { ref, uuid } = newRow('network');
  tx.create('network', ref, {
    uuid,
    name_label: `Pool-wide network associated with ${card.device}`,
    bridge,
    MTU: BigInt(card.mtu),
    other_config: new Map(),
  });
  return ref;
};

interface KnownCards {
  readonly byDevice: ReadonlyMap<string, Ref<'PIF'>>;
  readonly hasManagement: boolean;
}

const knownCards = (tx: Tx, host: Ref<'host'>): KnownCards => {
  const own = [...tx.all('PIF')].filter(([, pif]) => pif.host === host && pif.physical);
  return {
    byDevice: new Map(own.map(([ref, { device }]) => [device, ref])),
    hasManagement: own.some(([, { management }]) => management),
  };
};

/**
 * Records cards of a host that are new and renews what is known of the others. One that is gone stays,
 * unplugged, as its network may have VMs on it.
 */
export const refreshCards = (tx: Tx, host: Ref<'host'>, facts: HostFacts, newRow: NewRow): void => {
  const { byDevice, hasManagement } = knownCards(tx, host);
  const management = hasManagement ? undefined : managementCard(facts.cards);
  for (const card of facts.cards) {
    const known = byDevice.get(card.device);
    if (known === undefined) recordCard(tx, host, card, facts.nameServers, newRow, card === management);
    else {
      tx.patch('PIF', known, pifFacts(card, facts.nameServers));
      if (card === management) tx.patch('PIF', known, { management: true });
    }
  }
  const present = new Set(facts.cards.map(({ device }) => device));
  for (const [device, ref] of byDevice) {
    if (!present.has(device)) tx.patch('PIF', ref, { currently_attached: false });
  }
};

export const recordCard = (
  tx: Tx,
  host: Ref<'host'>,
  card: NetworkCard,
  nameServers: readonly string[],
  newRow: NewRow,
  management = false,
): Ref<'PIF'> => {
  const { ref, uuid } = newRow('PIF');
  tx.create('PIF', ref, {
    ...pifFacts(card, nameServers),
    uuid,
    device: card.device,
    device_name: card.device,
    network: networkOf(tx, card, newRow),
    host,
    VLAN: -1n,
    physical: true,
    management,
    // How the address came about is not told; it is not from us, and may change at any start.
    ip_configuration_mode: card.ip === '' ? 'None' : 'DHCP',
  });
  return ref;
};

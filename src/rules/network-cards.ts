import type { RecordNamed } from '../model/class.ts';
import { dateTimeOf, type Ref } from '../model/types.ts';
import type { HostFacts, NetworkCard } from '../objects/host-facts.ts';
import type { NewRow } from '../objects/new-rows.ts';
import type { Clock } from '../std/clock.ts';
import { own } from '../std/own.ts';
import type { Tx, View } from '../store/view.ts';

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

export interface CardRows {
  readonly facts: HostFacts;
  readonly newRow: NewRow;
  readonly clock: Pick<Clock, 'now'>;
}

type Metrics = RecordNamed<'PIF_metrics'>;

const metricsFacts = ({ link }: NetworkCard) => ({
  carrier: link.carrier,
  speed: BigInt(link.speedMbps),
  duplex: link.fullDuplex,
  vendor_id: link.vendorId,
  device_id: link.deviceId,
  pci_bus_path: link.busPath,
});

const tells = (row: Metrics, card: NetworkCard): boolean =>
  Object.entries(metricsFacts(card)).every(([name, value]) => own<unknown>({ ...row }, name) === value);

const measure = (tx: Tx, pif: Ref<'PIF'>, card: NetworkCard, { newRow, clock }: CardRows): void => {
  const { metrics } = tx.require('PIF', pif);
  const known = tx.get('PIF_metrics', metrics);
  if (known !== undefined && tells(known, card)) return;
  const fields = { ...metricsFacts(card), last_updated: dateTimeOf(clock.now()) };
  if (known !== undefined) {
    tx.patch('PIF_metrics', metrics, fields);
    return;
  }
  const { ref, uuid } = newRow('PIF_metrics');
  tx.create('PIF_metrics', ref, { ...fields, uuid });
  tx.patch('PIF', pif, { metrics: ref });
};

/** Whether the rows of a host's cards tell of another link than there is now. */
export const linksChanged = (view: View, host: Ref<'host'>, { cards }: HostFacts): boolean => {
  const links = new Map(cards.map((card) => [card.device, card]));
  return (view.get('host', host)?.PIFs ?? []).some((ref) => {
    const pif = view.get('PIF', ref);
    const metrics = pif?.physical === true ? view.get('PIF_metrics', pif.metrics) : undefined;
    const card = links.get(pif?.device ?? '');
    return metrics !== undefined && (card === undefined ? metrics.carrier : !tells(metrics, card));
  });
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
export const refreshCards = (tx: Tx, host: Ref<'host'>, given: CardRows): void => {
  const { facts } = given;
  const { byDevice, hasManagement } = knownCards(tx, host);
  const management = hasManagement ? undefined : managementCard(facts.cards);
  for (const card of facts.cards) {
    const known = byDevice.get(card.device);
    if (known === undefined) recordCard(tx, host, card, given, card === management);
    else {
      tx.patch('PIF', known, pifFacts(card, facts.nameServers));
      measure(tx, known, card, given);
      if (card === management) tx.patch('PIF', known, { management: true });
    }
  }
  const present = new Set(facts.cards.map(({ device }) => device));
  for (const [device, ref] of byDevice) {
    if (present.has(device)) continue;
    tx.patch('PIF', ref, { currently_attached: false });
    const { metrics } = tx.require('PIF', ref);
    if (tx.get('PIF_metrics', metrics) === undefined) continue;
    tx.patch('PIF_metrics', metrics, { carrier: false, speed: 0n, duplex: false });
  }
};

export const recordCard = (
  tx: Tx,
  host: Ref<'host'>,
  card: NetworkCard,
  given: CardRows,
  management = false,
): Ref<'PIF'> => {
  const { ref, uuid } = given.newRow('PIF');
  tx.create('PIF', ref, {
    ...pifFacts(card, given.facts.nameServers),
    uuid,
    device: card.device,
    device_name: card.device,
    network: networkOf(tx, card, given.newRow),
    host,
    VLAN: -1n,
    physical: true,
    management,
    // How the address came about is not told; it is not from us, and may change at any start.
    ip_configuration_mode: card.ip === '' ? 'None' : 'DHCP',
  });
  measure(tx, ref, card, given);
  return ref;
};

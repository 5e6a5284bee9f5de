import type { RecordNamed } from '../model/class.ts';
import type { NetworkCard } from './host-facts.ts';

/** Bridge of the network that a card connects to: `xenbr0` for `eth0`. */
export const bridgeOf = (device: string): string =>
  device.startsWith('eth') ? `xenbr${device.slice('eth'.length)}` : `br${device}`;

/** What a PIF tells of its card, as the card is now. */
export const pifFacts = (card: NetworkCard, nameServers: readonly string[]): Partial<RecordNamed<'PIF'>> => ({
  MAC: card.mac,
  MTU: BigInt(card.mtu),
  currently_attached: card.up,
  IP: card.ip,
  netmask: card.netmask,
  gateway: card.gateway,
  DNS: card.ip === '' ? '' : nameServers.join(','),
  IPv6: card.ipv6,
});

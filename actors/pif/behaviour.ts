import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { HostFacts } from '../../src/objects/host-facts.ts';
import { type Deciding, implement, type Working } from '../../src/objects/implement.ts';
import { newRows } from '../../src/objects/new-rows.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { type CardRows, recordCard, refreshCards } from '../../src/rules/network-cards.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { PIF } from './class.ts';

const self = ({ self: ref }: { readonly self: Ref }): Ref<'PIF'> => ref as Ref<'PIF'>;

/** A host's interfaces are its own. */
const owner = ({ host }: RecordNamed<'PIF'>) => ['host', host] as const;

const cardRows = ({ clock, random }: Services, facts: HostFacts): CardRows => ({
  facts,
  clock,
  newRow: newRows(random),
});

const scan = async ({ services, view, settle }: Working<'PIF'>, host: Ref<'host'>): Promise<void> => {
  view.require('host', host);
  const facts = await services.facts();
  settle((tx) => refreshCards(tx, host, cardRows(services, facts)));
};

const introduce = async (
  { services, commit, view }: Working<'PIF'>,
  { host, MAC, device, managed }: { host: Ref<'host'>; MAC: string; device: string; managed: boolean },
): Promise<Ref<'PIF'>> => {
  view.require('host', host);
  const facts = await services.facts();
  const mac = MAC.toLowerCase();
  const card = facts.cards.find((one) => one.mac === mac && (device === '' || one.device === device));
  if (card === undefined) {
    throw new Fault('COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS', [
      device,
      MAC,
    ]);
  }
  return commit((tx) => {
    const known = tx.require('host', host).PIFs.some((pif) => {
      const row = tx.get('PIF', pif);
      return row?.physical === true && row.device === card.device;
    });
    if (known) throw new Fault('DUPLICATE_PIF_DEVICE_NAME', [card.device]);
    const ref = recordCard(tx, host, card, cardRows(services, facts));
    tx.patch('PIF', ref, { managed });
    return ref;
  });
};

/** Others use the interface, or the host is reached by it. */
const assertIdle = (view: View, ref: Ref<'PIF'>): void => {
  const pif = view.require('PIF', ref);
  if (pif.management) throw new Fault('PIF_IS_MANAGEMENT_INTERFACE', [ref]);
  if (pif.disallow_unplug) throw new Fault('PIF_DOES_NOT_ALLOW_UNPLUG', [ref]);
  for (const vif of view.get('network', pif.network)?.VIFs ?? []) {
    const row = view.get('VIF', vif);
    const here = row !== undefined && view.get('VM', row.VM)?.resident_on === pif.host;
    if (here && row.currently_attached) throw new Fault('VIF_IN_USE', [pif.network, vif]);
  }
};

/** Cards are set up by the system that Xenact runs on, so only what is so already can be granted. */
const leaveAlone = (view: View, ref: Ref<'PIF'>, attached: boolean): void => {
  if (view.require('PIF', ref).currently_attached === attached) return;
  throw new Fault('NOT_IMPLEMENTED', [attached ? 'PIF.plug' : 'PIF.unplug']);
};

const forget = (deciding: Deciding): void => {
  const { tx } = deciding;
  const { bond_slave_of, tunnel_transport_PIF_of, VLAN_slave_of, management } = tx.require(
    'PIF',
    self(deciding),
  );
  if (bond_slave_of !== nullRef) throw new Fault('PIF_ALREADY_BONDED', [self(deciding)]);
  if (management) throw new Fault('PIF_IS_MANAGEMENT_INTERFACE', [self(deciding)]);
  if (tunnel_transport_PIF_of.length > 0) throw new Fault('PIF_TUNNEL_STILL_EXISTS', [self(deciding)]);
  if (VLAN_slave_of.length > 0) throw new Fault('PIF_VLAN_STILL_EXISTS', [self(deciding)]);
  tx.delete('PIF', self(deciding));
};

const record = (
  { tx, services }: Deciding,
  fields: Partial<RecordNamed<'PIF'>> & { host: Ref<'host'>; network: Ref<'network'> },
): Ref<'PIF'> => {
  tx.require('host', fields.host);
  tx.require('network', fields.network);
  const ref = newRef<'PIF'>(services);
  tx.create('PIF', ref, { ...fields, uuid: services.random.uuid(), currently_attached: false });
  return ref;
};

export default implement(
  PIF,
  { owner },
  {
    scan: { on: ({ host }) => host, work: (working, { host }) => scan(working, host) },
    introduce: { on: ({ host }) => host, work: introduce },
    forget: { decide: forget },
    plug: { work: async ({ self: ref, view }) => leaveAlone(view, ref, true) },
    unplug: {
      work: async ({ self: ref, view }) => {
        assertIdle(view, ref);
        leaveAlone(view, ref, false);
      },
    },
    destroy: {
      decide: (deciding) => {
        if (deciding.tx.require('PIF', self(deciding)).physical) {
          throw new Fault('PIF_IS_PHYSICAL', [self(deciding)]);
        }
        deciding.tx.delete('PIF', self(deciding));
      },
    },
    set_disallow_unplug: {
      decide: (deciding, { value }) => deciding.tx.patch('PIF', self(deciding), { disallow_unplug: value }),
    },
    set_primary_address_type: {
      decide: (deciding, { primary_address_type: family }) => {
        const pif = deciding.tx.require('PIF', self(deciding));
        const fits = family === 'IPv4' ? pif.IP !== '' : pif.IPv6.length > 0;
        if (!fits) throw new Fault('PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE', [self(deciding)]);
        deciding.tx.patch('PIF', self(deciding), { primary_address_type: family });
      },
    },
    db_introduce: { decide: record, on: ({ host }) => host },
    pool_introduce: { decide: record, on: ({ host }) => host },
    db_forget: { decide: (deciding) => deciding.tx.delete('PIF', self(deciding)) },
  },
);

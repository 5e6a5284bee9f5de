import { becomeHalted } from '../../actors/vm/halting.ts';
import type { ClassName, RecordNamed } from '../model/class.ts';
import { holdingOf, referencesIn } from '../model/references.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import { collectorOf } from '../objects/collector.ts';
import { spareRows } from '../objects/derive-rows.ts';
import type { NextDatabase } from '../objects/replacing.ts';
import type { ReadState } from '../rules/state-db/read.ts';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { UnusableError } from '../std/unusable.ts';
import type { Durable, StoredRow } from '../store/durable.ts';
import { type Schema, schemasOf } from '../store/schema.ts';
import { openStore, type Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';

// The database of another pool, made into one that a host here can begin with. It is looked at as a whole in
// memory first, by the house's own rules of what goes with what, so that everything that cannot be carried is
// known before anything is written.

export interface AdoptWish {
  readonly state: ReadState;
  /** The host of the database that this machine is: its uuid there, and the one that it is to have. */
  readonly host?: { readonly old: string; readonly uuid: string };
  /** What this machine is called, where it knows. */
  readonly machine?: string;
  /** False: secrets keep their names and lose their values. */
  readonly keepsSecrets: boolean;
}

export interface Adopted extends NextDatabase {
  /** What is not as it was, in sentences. */
  readonly changes: readonly string[];
}

interface Uses {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Log;
}

/** Of what a host finds out for itself when it starts, or what a database has the names of only. */
const leftOut: ReadonlyMap<string, string | undefined> = new Map([
  ['SM', undefined],
  ['host_cpu', undefined],
  ['console', undefined],
  ['role', undefined],
  ['Certificate', 'Certificates are not in a database: install those of authorities again'],
  ['blob', 'The content of blobs is not in a database'],
  ['user', 'Passwords are not in a database: root gets a new one, and others by xenact user add'],
]);

const isFoundAgain = (cls: string): boolean => leftOut.has(cls) && leftOut.get(cls) === undefined;

/** Rows that one commit changes. */
const sliceMax = 500;
const namesMax = 10;

/** Throws `UnusableError` where somebody has to say more. */
export const adopt = async (uses: Uses, wish: AdoptWish): Promise<Adopted> => {
  const { rows, manifest, passedOver } = wish.state;
  const schemas = schemasOf(uses.catalog.classes);
  const kept = rows.filter(({ cls }) => !leftOut.has(cls));
  const lost = danglingIn(kept, schemas);
  const generation = rows.reduce(
    (peak, { created, modified }) => Math.max(peak, created, modified),
    manifest.generation,
  );
  const durable = inMemory([...kept, ...lost.map(ghost)], generation);
  const { store, replica } = openStore({
    ...{ classes: uses.catalog.classes, durable, log: uses.log, spare: spareRows(uses.catalog) },
  });
  try {
    await store.commit((tx) => {
      for (const { cls, ref } of lost) tx.delete(cls as ClassName, ref as Ref<any>);
    });
    const host = chosenHost(store.latest, wish);
    const changes = [...passedOver, ...leftOutOf(rows)];
    if (lost.length > 0) changes.push(`References to ${lost.length} objects that are not there are cleared`);
    changes.push(...(await store.commit((tx) => leaveHosts(tx, host, wish))));
    const collect = collectorOf({ ...uses, store });
    while ((await collect()) > 0);
    changes.push(...(await standStill(store, wish)));
    return { host, generation: store.generation, changes, rows: rowsOf(store) };
  } finally {
    await replica.close();
  }
};

const inMemory = (rows: readonly StoredRow[], generation: number): Durable => ({
  load: () => ({ rows, tombstones: [], horizon: generation, generation }),
  write: async () => {},
  close: async () => {},
});

interface Named {
  readonly cls: string;
  readonly ref: string;
}

/** Stands for what is named and not there, so that it can go by the rules by which rows go. */
const ghost = ({ cls, ref }: Named): StoredRow => ({ cls, ref, created: 0, modified: 0, fields: {} });

const danglingIn = (rows: readonly StoredRow[], schemas: ReadonlyMap<string, Schema>): readonly Named[] => {
  const there = new Set(rows.map(({ cls, ref }) => `${cls} ${ref}`));
  const lost = new Map<string, Named>();
  for (const { cls, fields } of rows) {
    const declared = schemas.get(cls)?.cls.fields ?? {};
    for (const [name, value] of Object.entries(fields)) {
      const field = declared[name];
      const holding = field === undefined || field.gone === 'stays' ? undefined : holdingOf(field.type);
      if (holding === undefined || !schemas.has(holding.of) || isFoundAgain(holding.of)) continue;
      for (const ref of referencesIn(holding, value)) {
        const key = `${holding.of} ${ref}`;
        if (!there.has(key)) lost.set(key, { cls: holding.of, ref });
      }
    }
  }
  return [...lost.values()];
};

const leftOutOf = (rows: readonly StoredRow[]): readonly string[] => {
  const found = new Set(rows.map(({ cls }) => cls));
  return [...leftOut].flatMap(([cls, why]) => (why !== undefined && found.has(cls) ? [why] : []));
};

/** `a, b and 3 more`. */
const listed = (names: readonly string[]): string => {
  const more = names.length - namesMax;
  return names.slice(0, namesMax).join(', ') + (more > 0 ? ` and ${more} more` : '');
};

const chosenHost = (view: View, { host: said, machine }: AdoptWish): Ref<'host'> => {
  const hosts = [...view.all('host')];
  const named = (uuid: string | undefined) => hosts.find(([, row]) => row.uuid === uuid)?.[0];
  const known = hosts.map(([, { name_label, uuid }]) => `${name_label} (${uuid})`).join(', ');
  if (said !== undefined) {
    const found = named(said.old);
    if (found !== undefined) return found;
    throw new UnusableError(`The database has no host ${said.old}, but ${known}.`);
  }
  const found = named(machine) ?? (hosts.length === 1 ? hosts[0]?.[0] : undefined);
  if (found !== undefined) return found;
  throw new UnusableError(
    `The database has ${hosts.length} hosts: ${known}. Say with --host UUID which of them this machine is, ` +
      'or with --host UUID=NEW to give it another uuid; the others come by joining the pool.',
  );
};

/** Only this host is there; others join as new ones. What was theirs alone goes with them. */
const leaveHosts = (tx: Tx, host: Ref<'host'>, { host: said }: AdoptWish): readonly string[] => {
  const others = [...tx.all('host')].filter(([ref]) => ref !== host);
  const domains = [...tx.all('VM')].filter(
    ([ref, vm]) => vm.is_control_domain && tx.get('host', host)?.control_domain !== ref,
  );
  for (const [ref] of domains) tx.delete('VM', ref);
  for (const [ref] of others) tx.delete('host', ref);
  if (said !== undefined) tx.patch('host', host, { uuid: said.uuid });
  tx.patch('pool', tx.only('pool')[0], {
    master: host,
    ...{ ha_enabled: false, ha_statefiles: [], ha_configuration: new Map(), ha_cluster_stack: '' },
    ...{ redo_log_enabled: false, redo_log_vdi: nullRef as Ref<'VDI'>, wlb_enabled: false },
  });
  const names = others.map(([, { name_label, uuid }]) => `${name_label} (${uuid})`);
  return names.length === 0
    ? []
    : [`These hosts and their cards are left out until they join: ${listed(names)}`];
};

/** No guest runs, and nothing is attached, on a host that has not started yet. */
const standStill = async (store: Store, { keepsSecrets }: AdoptWish): Promise<readonly string[]> => {
  const view = store.latest;
  const isForeign = !view.require('host', view.only('pool')[1].master).software_version.has('xenact');
  const vms = [...view.all('VM')].filter(([, vm]) => !vm.is_control_domain);
  const sleeps = ({ power_state, suspend_VDI }: Vm): boolean =>
    power_state === 'Suspended' && view.get('VDI', suspend_VDI) !== undefined;
  const awake = vms.filter(([, vm]) => !sleeps(vm));
  const ran = awake.filter(([, vm]) => vm.power_state !== 'Halted');
  await inSlices(store, awake, (tx, [ref]) => becomeHalted(tx, ref));
  await inSlices(store, [...view.all('VGPU')], (tx, [ref]) =>
    tx.patch('VGPU', ref, { currently_attached: false }),
  );
  const connections = isForeign ? [...view.all('PBD')] : [];
  await inSlices(store, connections, (tx, [ref]) => tx.patch('PBD', ref, { currently_attached: false }));
  const secrets = keepsSecrets ? [] : [...view.all('secret')];
  await inSlices(store, secrets, (tx, [ref]) => tx.patch('secret', ref, { value: '' }));
  const namesOf = (found: typeof vms): string => listed(found.map(([, { name_label }]) => name_label));
  const sentences: readonly (readonly [count: number, said: string])[] = [
    [ran.length, `These VMs are Halted: ${namesOf(ran)}`],
    ...(isForeign ? foreignSentences(vms, namesOf) : []),
    [
      connections.length,
      'Repositories are not plugged: look whether the plugin of each reads what is there, then PBD.plug',
    ],
    [
      secrets.length,
      `${secrets.length} secrets have lost their values: set them again with secret.set_value`,
    ],
  ];
  return sentences.flatMap(([count, said]) => (count > 0 ? [said] : []));
};

type Vm = RecordNamed<'VM'>;
type VmRow = readonly [Ref<'VM'>, Vm];

const foreignSentences = (
  vms: readonly VmRow[],
  namesOf: (found: VmRow[]) => string,
): readonly (readonly [count: number, said: string])[] => {
  const suspended = vms.filter(([, { power_state }]) => power_state === 'Suspended');
  const unlike = vms.filter(
    ([, vm]) => !vm.is_a_template && (vm.domain_type === 'pv' || vm.domain_type === 'pv_in_pvh'),
  );
  return [
    [
      suspended.length,
      `These VMs are Suspended in the form of another hypervisor, and begin anew after VM.hard_shutdown: ` +
        namesOf(suspended),
    ],
    [unlike.length, `These VMs are paravirtualised and start under Xen only: ${namesOf(unlike)}`],
  ];
};

const inSlices = async <T>(
  store: Store,
  all: readonly T[],
  change: (tx: Tx, one: T) => void,
): Promise<void> => {
  for (let from = 0; from < all.length; from += sliceMax) {
    const slice = all.slice(from, from + sliceMax);
    await store.commit((tx) => {
      for (const one of slice) change(tx, one);
    });
  }
};

const rowsOf = ({ tables }: Store): readonly StoredRow[] =>
  [...tables.values()].flatMap(({ schema, entries }) =>
    [...entries.values()].flatMap(({ cls, ref, committed }): readonly StoredRow[] => {
      if (committed === undefined) return [];
      const { record, created, modified } = committed;
      const fields = Object.fromEntries(schema.storedFields.map((name) => [name, record[name]]));
      return [{ cls, ref, created, modified, fields }];
    }),
  );

import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { nullRef } from '../../src/model/types.ts';
import type { HostFacts } from '../../src/objects/host-facts.ts';
import { type NewRow, newRows } from '../../src/objects/new-rows.ts';
import { listedRoles, permissionsOf, roleRef, roleUuid } from '../../src/objects/roles.ts';
import { refreshCards } from '../../src/rules/network-cards.ts';
import { freeBytes } from '../../src/rules/placement/memory.ts';
import type { Clock, Random } from '../../src/std/clock.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { cpuInfo, createHost, refreshHost } from './bootstrap/host-rows.ts';
import { restrictions } from './bootstrap/identity.ts';
import { createInternalNetwork } from './bootstrap/network-rows.ts';
import { createTemplates } from './templates.ts';

export interface BootstrapOptions {
  readonly store: Store;
  readonly facts: HostFacts;
  readonly clock: Clock;
  readonly random: Random;
  /** Name of the pool, at its first start. */
  readonly name: string;
  /** Where the API of this host is reached by others, without a port. */
  readonly address: string;
  /** Of Xenact itself. */
  readonly version: string;
}

export interface Bootstrapped {
  readonly pool: Ref<'pool'>;
  readonly host: Ref<'host'>;
  /** True at the first start. */
  readonly created: boolean;
}

/**
 * The rows that a pool has before anyone asks for any, in one commit. At each later start they are
 * brought up to date: what users changed stays, and nothing is made twice.
 */
export const bootstrap = (options: BootstrapOptions): Promise<Bootstrapped> =>
  options.store.commit((tx) => {
    const newRow = newRows(options.random);
    const hostOptions = { ...options, newRow };
    const known = knownPool(tx);
    const host = known?.host ?? createHost(tx, hostOptions);
    if (known !== undefined) refreshHost(tx, host, hostOptions);
    const pool = known?.pool ?? createPool(tx, host, options.name, newRow);
    tx.patch('pool', pool, { restrictions, cpu_info: cpuInfo(options.facts.processors) });
    createRoot(tx, newRow);
    refreshRoles(tx, options.store);
    createInternalNetwork(tx, newRow);
    refreshCards(tx, host, hostOptions);
    createTemplates(tx, newRow);
    const { metrics } = tx.require('host', host);
    if (tx.get('host_metrics', metrics) !== undefined)
      tx.patch('host_metrics', metrics, { memory_free: freeBytes(tx, host) });
    return { pool, host, created: known === undefined };
  });

/** Brings the rows of a host up to what its machine is today, where another host looks after the pool. */
export const refreshOwnHost = (options: BootstrapOptions, host: Ref<'host'>): Promise<void> =>
  options.store.commit((tx) => {
    const newRow = newRows(options.random);
    if (tx.get('host', host) === undefined) return;
    refreshHost(tx, host, { ...options, newRow });
    refreshCards(tx, host, { ...options, newRow });
  });

const knownPool = (tx: Tx): { readonly pool: Ref<'pool'>; readonly host: Ref<'host'> } | undefined => {
  for (const [pool, { master }] of tx.all('pool')) return { pool, host: master };
  return undefined;
};

const createPool = (tx: Tx, master: Ref<'host'>, name: string, newRow: NewRow): Ref<'pool'> => {
  const { ref, uuid } = newRow('pool');
  tx.create('pool', ref, {
    uuid,
    name_label: name,
    name_description: '',
    master,
    default_SR: nullRef as Ref<'SR'>,
    suspend_image_SR: nullRef as Ref<'SR'>,
    crash_dump_SR: nullRef as Ref<'SR'>,
    other_config: new Map(),
  });
  return ref;
};

const createRoot = (tx: Tx, newRow: NewRow): void => {
  for (const [, { short_name }] of tx.all('user')) if (short_name === 'root') return;
  const { ref, uuid } = newRow('user');
  tx.create('user', ref, { uuid, short_name: 'root', fullname: 'superuser' });
};

const meant: Readonly<Record<(typeof listedRoles)[number], string>> = {
  'pool-admin': 'May do everything, and give others their roles',
  'pool-operator': 'May look after hosts, storage and networks, but not after users',
  'vm-power-admin': 'May make, move and snapshot VMs and use all their settings',
  'vm-admin': 'May make and change VMs',
  'vm-operator': 'May start and stop VMs and use their consoles',
  'read-only': 'May look at everything and change nothing',
};

/** Each role holds its own permissions and, as a subrole, the next weaker role. */
const refreshRoles = (tx: Tx, store: Store): void => {
  const permissions = permissionsOf([...store.schemas.values()].map(({ cls }) => cls));
  putRole(tx, {
    name_label: 'client-cert',
    name_description: 'Held by clients that prove themselves by a certificate; nobody is given it',
    subroles: [roleRef('read-only')],
    is_internal: true,
  });
  listedRoles.forEach((name, rank) => {
    const weaker = listedRoles[rank - 1];
    putRole(tx, {
      name_label: name,
      name_description: meant[name],
      subroles: [
        ...(weaker === undefined ? [] : [roleRef(weaker)]),
        ...permissions.filter(({ role }) => role === name).map(({ ref }) => ref),
      ],
    });
  });
};

const putRole = (tx: Tx, fields: Partial<RecordNamed<'role'>> & { readonly name_label: string }): void => {
  const ref = roleRef(fields.name_label);
  if (tx.get('role', ref) === undefined)
    tx.create('role', ref, { uuid: roleUuid(fields.name_label), ...fields });
  else tx.patch('role', ref, fields);
};

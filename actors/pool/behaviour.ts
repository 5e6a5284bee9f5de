import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { newBlob } from '../../src/rules/blobs.ts';
import { Fault } from '../../src/std/fault.ts';
import { operations, poolRefusal } from './admission.ts';
import { pool } from './class.ts';
import { database } from './database.ts';
import { membership } from './membership.ts';
import { processorsOfPool } from './processors.ts';

const self = ({ self: ref }: { readonly self: Ref }): Ref<'pool'> => ref as Ref<'pool'>;

/** A pool of one host survives the failure of none. */
const failuresToleratedMax = 0n;

const atLeastOne = (deciding: Deciding, field: string, value: bigint): void => {
  if (value < 1n) throw new Fault('INVALID_VALUE', [field, String(value)]);
  deciding.tx.patch('pool', self(deciding), { [field]: value });
};

export default implement(
  pool,
  {
    admit: (view, ref, operation) => faultFrom(poolRefusal(view, ref, operation)),
    derive: (view, ref, { cpu_info }) => ({
      cpu_info: processorsOfPool(view, cpu_info),
      allowed_operations: operations.filter((operation) => poolRefusal(view, ref, operation) === undefined),
    }),
  },
  {
    ...membership,
    // Every commit is on disk before it is answered, so there is nothing left to be written.
    sync_database: { read: () => undefined },
    disable_ha: {
      operation: 'ha_disable',
      on: (_, view) => view.only('pool')[0],
      work: async () => {
        throw new Fault('HA_NOT_ENABLED');
      },
    },
    ha_failover_plan_exists: { read: (_, { n }) => n <= failuresToleratedMax },
    ha_compute_max_host_failures_to_tolerate: { read: () => failuresToleratedMax },
    ha_compute_hypothetical_max_host_failures_to_tolerate: { read: () => failuresToleratedMax },
    ha_compute_vm_failover_plan: {
      read: (_, { failed_vms }) => new Map(failed_vms.map((vm) => [vm, new Map()])),
    },
    set_ha_host_failures_to_tolerate: {
      decide: (deciding, { value }) => {
        if (value < 0n) throw new Fault('INVALID_VALUE', ['ha_host_failures_to_tolerate', String(value)]);
        if (value > failuresToleratedMax) throw new Fault('HA_NO_PLAN');
        deciding.tx.patch('pool', self(deciding), { ha_host_failures_to_tolerate: value });
      },
    },
    create_new_blob: newBlob('pool'),
    detect_nonhomogeneous_external_auth: { read: () => undefined },

    get_license_state: {
      read: ({ view }) => {
        const { edition, license_params } = view.require('host', view.only('pool')[1].master);
        return new Map([
          ['edition', edition],
          ['expiry', license_params.get('expiry') ?? 'never'],
        ]);
      },
    },
    apply_edition: {
      work: async ({ view, call }, { edition }) => {
        for (const [host] of view.all('host'))
          await call('host.apply_edition', host, { edition, force: false });
      },
    },
    has_extension: { read: () => false },
    add_to_guest_agent_config: {
      decide: (deciding, { key, value }) => {
        const { guest_agent_config: old } = deciding.tx.require('pool', self(deciding));
        if (old.has(key)) {
          throw new Fault('MAP_DUPLICATE_KEY', ['pool', 'guest_agent_config', self(deciding), key]);
        }
        deciding.tx.patch('pool', self(deciding), { guest_agent_config: new Map([...old, [key, value]]) });
      },
    },
    remove_from_guest_agent_config: {
      decide: (deciding, { key }) => {
        const { guest_agent_config: old } = deciding.tx.require('pool', self(deciding));
        deciding.tx.patch('pool', self(deciding), {
          guest_agent_config: new Map([...old].filter(([one]) => one !== key)),
        });
      },
    },
    set_local_auth_max_threads: {
      decide: (deciding, { value }) => atLeastOne(deciding, 'local_auth_max_threads', value),
    },
    set_ext_auth_max_threads: {
      decide: (deciding, { value }) => atLeastOne(deciding, 'ext_auth_max_threads', value),
    },
    set_ext_auth_cache_enabled: {
      decide: (deciding, { value }) =>
        deciding.tx.patch('pool', self(deciding), { ext_auth_cache_enabled: value }),
    },
    set_ext_auth_cache_size: {
      decide: (deciding, { value }) => {
        if (value < 0n) throw new Fault('INVALID_VALUE', ['size', String(value)]);
        deciding.tx.patch('pool', self(deciding), { ext_auth_cache_size: value });
      },
    },
    set_ext_auth_cache_expiry: {
      decide: (deciding, { value }) => {
        if (value <= 0n) throw new Fault('INVALID_VALUE', ['expiry', String(value)]);
        deciding.tx.patch('pool', self(deciding), { ext_auth_cache_expiry: value });
      },
    },
  },
  database,
);

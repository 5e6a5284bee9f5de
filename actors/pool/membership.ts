import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { JoinTarget, Membership } from '../../src/objects/membership.ts';
import type { Services } from '../../src/objects/services.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { onPool, type PoolHandlers } from './handlers.ts';

// Who is in the pool, and who coordinates it. The rules are here; how hosts find each other is the
// membership's.

const membershipOf = ({ membership }: Services): Membership => {
  if (membership !== undefined) return membership;
  throw new Fault('OPERATION_NOT_ALLOWED', ['This host cannot be in a pool with others']);
};

interface JoinArgs {
  readonly master_address: string;
  readonly master_username: string;
  readonly master_password: string;
}

const join = ({ services }: Working<'pool'>, args: JoinArgs, force: boolean): Promise<void> => {
  const target: JoinTarget = {
    address: args.master_address,
    user: args.master_username,
    password: args.master_password,
    force,
  };
  return membershipOf(services).join(target);
};

const assertNoHa = (view: View): void => {
  if (view.only('pool')[1].ha_enabled) throw new Fault('HA_IS_ENABLED');
};

const moving: readonly string[] = ['pool_migrate', 'migrate_send'];

/** A guest on its way between hosts, or a disk, goes through links that end with the certificates. */
const assertNothingMoves = (view: View): void => {
  for (const [vm, { current_operations }] of view.all('VM')) {
    for (const [task, operation] of current_operations) {
      if (!moving.includes(operation)) continue;
      throw new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', vm, operation, task]);
    }
  }
};

const assertMember = (services: Services): void => {
  if (services.availability().member !== true) throw new Fault('NOT_IN_EMERGENCY_MODE');
};

const eject = async ({ view, services }: Working<'pool'>, host: Ref<'host'>): Promise<void> => {
  const row = view.require('host', host);
  assertNoHa(view);
  if (view.only('pool')[1].master === host) throw new Fault('HOST_IS_LIVE', [host]);
  const guests = row.resident_VMs.filter((vm) => view.get('VM', vm)?.is_control_domain === false);
  if (guests.length > 0) throw new Fault('HOST_HAS_RESIDENT_VMS', [host]);
  await membershipOf(services).eject(host);
};

export const membership = {
  join: { on: onPool, work: (working, args) => join(working, args, false) },
  join_force: { on: onPool, work: (working, args) => join(working, args, true) },
  eject: { on: onPool, work: (working, { host }) => eject(working, host) },
  is_slave: {
    read: ({ view, services }, { host }) => {
      view.require('host', host);
      // Rows may be behind, but of itself a host knows.
      if (host === services.host) return services.availability().member === true;
      return view.only('pool')[1].master !== host;
    },
  },
  designate_new_master: {
    operation: 'designate_new_master',
    on: onPool,
    work: async ({ view, services }, { host }) => {
      view.require('host', host);
      assertNoHa(view);
      if (view.only('pool')[1].master !== host) await membershipOf(services).designate(host);
    },
  },
  emergency_transition_to_master: {
    work: async ({ view, services }, { force }) => {
      assertMember(services);
      assertNoHa(view);
      await membershipOf(services).takeOver(force);
    },
  },
  emergency_reset_master: {
    work: async ({ view, services }, { master_address }) => {
      assertMember(services);
      assertNoHa(view);
      await membershipOf(services).lookFor(master_address);
    },
  },
  recover_slaves: { on: onPool, work: async ({ services }) => membershipOf(services).recover() },
  rotate_secret: {
    on: onPool,
    work: async ({ view, services }) => {
      assertNothingMoves(view);
      await membershipOf(services).rotate();
    },
  },
} satisfies PoolHandlers;

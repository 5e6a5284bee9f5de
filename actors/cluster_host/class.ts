import { defineClass, dyn, ro } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  epoch,
  map,
  nullRef,
  oneOf,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { since } from './since.ts';

export const clusterHostOperation = oneOf('cluster_host_operation', ['enable', 'disable', 'destroy']);

export const Cluster_host = defineClass('Cluster_host', {
  doc: 'Membership of one host in a cluster.',
  since,
  writeRole: 'pool-operator',
  needs: ['cluster', 'host'],
  fields: {
    uuid: dyn(string, 'Identity of the membership.'),
    cluster: ro(ref('Cluster'), 'Cluster that the host is in.', {
      default: nullRef,
      inverse: 'Cluster.cluster_hosts',
      gone: 'collected',
    }),
    host: ro(ref('host'), 'Host that is the member.', { default: nullRef, gone: 'collected' }),
    enabled: dyn(bool, 'True if the cluster stack is meant to run on the host.', { default: false }),
    PIF: ro(ref('PIF'), 'Interface by which the member talks to the others.', {
      default: nullRef,
      gone: 'cleared',
    }),
    joined: dyn(bool, 'True once the host has entered the cluster; false while it still has to.', {
      default: true,
    }),
    live: dyn(bool, 'True if the cluster stack counts the member among the living.', { default: false }),
    last_update_live: dyn(datetime, 'When `live` was last known to be right, in UTC.', { default: epoch }),
    allowed_operations: dyn(
      set(clusterHostOperation),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, clusterHostOperation),
      'What runs on the membership at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    other_config: ro(stringMap, 'Settings that were given when it was made.', { default: new Map() }),
  },
  messages: {
    create: {
      doc: 'Makes a host a member of a cluster.',
      role: 'pool-operator',
      params: {
        cluster: [ref('Cluster'), 'Cluster to enter.'],
        host: [ref('host'), 'Host that enters.'],
        pif: [ref('PIF'), 'Interface of the host to talk by.'],
      },
      result: ref('Cluster_host'),
      errors: ['PIF_NOT_ATTACHED_TO_HOST', 'NO_CLUSTER_HOSTS_REACHABLE'],
      async: true,
    },
    destroy: {
      doc: 'Takes a host out of the cluster in good order.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_STACK_IN_USE', 'CLUSTERING_DISABLED', 'CLUSTER_HOST_IS_LAST'],
      async: true,
    },
    enable: {
      doc: 'Starts the cluster stack on a member that was disabled.',
      role: 'pool-operator',
      self: 'self',
      errors: ['PIF_ALLOWS_UNPLUG', 'REQUIRED_PIF_IS_UNPLUGGED'],
      async: true,
    },
    force_destroy: {
      doc: 'Takes a host out of the cluster even if the other members cannot be told.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_STACK_IN_USE'],
      async: true,
    },
    forget: {
      doc: 'Makes the living members forget a host that is gone for good.',
      role: '_local_root_',
      self: 'self',
      async: true,
      hidden: true,
    },
    disable: {
      doc: 'Stops the cluster stack on a member, which stays a member.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_STACK_IN_USE'],
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Cluster_host: typeof Cluster_host;
  }
}

import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  confidential,
  float,
  int,
  map,
  oneOf,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { since } from './since.ts';

export const clusterOperation = oneOf('cluster_operation', ['add', 'remove', 'enable', 'disable', 'destroy']);

export const Cluster = defineClass('Cluster', {
  doc: 'Hosts that keep watch over each other with a cluster stack, for storage that needs it.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the cluster.'),
    cluster_hosts: dyn(set(ref('Cluster_host')), 'Members of the cluster, one for each host.', {
      inverse: 'Cluster_host.cluster',
      computed: true,
    }),
    pending_forget: dyn(
      set(string),
      'Addresses of members that were declared dead and are not yet forgotten by all.',
      { default: [] },
    ),
    cluster_token: ro(confidential(string), 'Secret that members show to each other.', { default: '' }),
    cluster_stack: ro(string, 'Name of the cluster stack, such as `corosync`.', { default: 'corosync' }),
    cluster_stack_version: ro(int, 'Version of the cluster stack.', { default: 2n }),
    is_quorate: dyn(bool, 'True if enough members are alive to act.', { default: false }),
    quorum: dyn(int, 'How many members must be alive to act.', { default: 0n }),
    live_hosts: dyn(int, 'How many members are alive.', { default: 0n }),
    expected_hosts: dyn(int, 'How many members should be alive.', { default: 0n }),
    allowed_operations: dyn(
      set(clusterOperation),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, clusterOperation),
      'What runs on the cluster at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    pool_auto_join: ro(bool, 'True if hosts that join the pool join the cluster by themselves.', {
      default: true,
    }),
    token_timeout: ro(float, 'Seconds without a sign of life after which a member counts as lost.', {
      default: 20,
    }),
    token_timeout_coefficient: ro(
      float,
      'Seconds by which that time grows with each member after the second.',
      { default: 1 },
    ),
    cluster_config: ro(stringMap, 'Settings for the cluster stack.', { default: new Map() }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
  },
  messages: {
    create: {
      doc: 'Makes a cluster whose only member is the host of a network interface.',
      role: 'pool-operator',
      params: {
        PIF: [ref('PIF'), 'Interface over which members talk; its address must stay as it is.'],
        cluster_stack: [string, 'Name of the cluster stack.'],
        pool_auto_join: [bool, 'True if hosts that join the pool shall join the cluster by themselves.'],
        token_timeout: [float, 'Seconds without a sign of life after which a member counts as lost.', 20],
        token_timeout_coefficient: [
          float,
          'Seconds by which that time grows with each member after the second.',
          1,
        ],
      },
      result: ref('Cluster'),
      errors: ['INVALID_CLUSTER_STACK', 'INVALID_VALUE', 'PIF_ALLOWS_UNPLUG', 'REQUIRED_PIF_IS_UNPLUGGED'],
      async: true,
    },
    destroy: {
      doc: 'Ends a cluster that has a single member left.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_DOES_NOT_HAVE_ONE_NODE', 'CLUSTER_STACK_IN_USE'],
      async: true,
    },
    get_network: {
      doc: 'Returns the network over which the members talk, which must be the same for all.',
      role: 'read-only',
      self: 'self',
      result: ref('network'),
      async: true,
    },
    pool_create: {
      doc: 'Makes a cluster of all hosts of the pool.',
      role: 'pool-operator',
      params: {
        network: [ref('network'), 'Network over which members talk.'],
        cluster_stack: [string, 'Name of the cluster stack.'],
        token_timeout: [float, 'Seconds without a sign of life after which a member counts as lost.', 20],
        token_timeout_coefficient: [
          float,
          'Seconds by which that time grows with each member after the second.',
          1,
        ],
      },
      result: ref('Cluster'),
      async: true,
    },
    pool_force_destroy: {
      doc: 'Ends the cluster on every host, going on when one of them fails.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_FORCE_DESTROY_FAILED'],
      async: true,
    },
    pool_destroy: {
      doc: 'Takes all hosts out of the cluster and ends it; stops when one of them fails.',
      role: 'pool-operator',
      self: 'self',
      errors: ['CLUSTER_STACK_IN_USE', 'CLUSTERING_DISABLED', 'CLUSTER_HOST_IS_LAST'],
      async: true,
    },
    pool_resync: {
      doc: 'Makes every host a member that should be one, and starts those that are not running.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    cstack_sync: {
      doc: 'Copies what the cluster stack says of its members and its quorum into the records.',
      role: 'pool-operator',
      self: 'self',
      async: true,
      poolInternal: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Cluster: typeof Cluster;
  }
}

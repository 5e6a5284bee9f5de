import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    orlando: ['other_config'],
    ely: ['hvm', 'nested_virt', 'nomigrate'],
    jura: ['current_domain_type'],
    '26.2.0': ['numa_optimised', 'numa_nodes', 'numa_node_memory'],
  },
};

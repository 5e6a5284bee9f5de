import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['attach'],
    orlando: ['blobs', 'tags', 'create_new_blob'],
    'midnight-ride': ['MTU'],
    tampa: ['default_locking_mode', 'set_default_locking_mode', 'attach_for_vm', 'detach_for_vm'],
    creedence: ['assigned_ips'],
    falcon: ['managed'],
    inverness: ['purpose', 'add_purpose', 'remove_purpose'],
  },
};

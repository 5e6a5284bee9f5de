import { availability } from './fault-codes/availability.ts';
import { balancing } from './fault-codes/balancing.ts';
import { calls } from './fault-codes/calls.ts';
import { certificates } from './fault-codes/certificates.ts';
import { devices } from './fault-codes/devices.ts';
import { hosts } from './fault-codes/hosts.ts';
import { imports } from './fault-codes/imports.ts';
import { licences } from './fault-codes/licences.ts';
import { logins } from './fault-codes/logins.ts';
import { networks } from './fault-codes/networks.ts';
import { quiescing } from './fault-codes/quiescing.ts';
import { storage } from './fault-codes/storage.ts';
import { undescribed } from './fault-codes/undescribed.ts';
import { updates } from './fault-codes/updates.ts';
import { vms } from './fault-codes/vms.ts';

/**
 * Every fault that can be an answer: its code and the names of its parameters, in wire order.
 * Codes and parameter names are the XenAPI's own.
 */
export const faultCodes = {
  ...availability,
  ...balancing,
  ...calls,
  ...certificates,
  ...devices,
  ...hosts,
  ...imports,
  ...licences,
  ...logins,
  ...networks,
  ...quiescing,
  ...storage,
  ...undescribed,
  ...updates,
  ...vms,
};

import { blob } from './blob/class.ts';
import { console } from './console/class.ts';
import { event } from './event/class.ts';
import { host } from './host/class.ts';
import { host_cpu } from './host_cpu/class.ts';
import { host_metrics } from './host_metrics/class.ts';
import { message } from './message/class.ts';
import { network } from './network/class.ts';
import { PBD } from './pbd/class.ts';
import { PIF } from './pif/class.ts';
import { pool } from './pool/class.ts';
import { role } from './role/class.ts';
import { secret } from './secret/class.ts';
import { session } from './session/class.ts';
import { SM } from './sm/class.ts';
import { SR } from './sr/class.ts';
import { subject } from './subject/class.ts';
import { task } from './task/class.ts';
import { user } from './user/class.ts';
import { VBD } from './vbd/class.ts';
import { VDI } from './vdi/class.ts';
import { VIF } from './vif/class.ts';
import { VM } from './vm/class.ts';
import { VM_guest_metrics } from './vm_guest_metrics/class.ts';
import { VM_metrics } from './vm_metrics/class.ts';

/** Every class that is served, in the order of the XenAPI. */
export const classes = [
  session,
  subject,
  role,
  task,
  event,
  pool,
  VM,
  VM_metrics,
  VM_guest_metrics,
  host,
  host_metrics,
  host_cpu,
  network,
  VIF,
  PIF,
  SM,
  SR,
  VDI,
  VBD,
  PBD,
  console,
  user,
  blob,
  message,
  secret,
] as const;

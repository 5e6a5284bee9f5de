import { blob } from './blob/class.ts';
import { console } from './console/class.ts';
import { PBD } from './pbd/class.ts';
import { secret } from './secret/class.ts';
import { SM } from './sm/class.ts';
import { SR } from './sr/class.ts';
import { VBD } from './vbd/class.ts';
import { VDI } from './vdi/class.ts';
import { VIF } from './vif/class.ts';
import { VM } from './vm/class.ts';
import { VM_guest_metrics } from './vm_guest_metrics/class.ts';
import { VM_metrics } from './vm_metrics/class.ts';

/** Every class that is served, in the order of the XenAPI. */
export const classes = [
  VM,
  VM_metrics,
  VM_guest_metrics,
  VIF,
  SM,
  SR,
  VDI,
  VBD,
  PBD,
  console,
  blob,
  secret,
] as const;

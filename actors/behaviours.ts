import type { Behaviour } from '../src/objects/implement.ts';
import blob from './blob/behaviour.ts';
import caller from './caller/behaviour.ts';
import consoleBehaviour from './console/behaviour.ts';
import host from './host/behaviour.ts';
import message from './message/behaviour.ts';
import network from './network/behaviour.ts';
import pbd from './pbd/behaviour.ts';
import pif from './pif/behaviour.ts';
import pool from './pool/behaviour.ts';
import rate_limit from './rate_limit/behaviour.ts';
import role from './role/behaviour.ts';
import secret from './secret/behaviour.ts';
import session from './session/behaviour.ts';
import sm from './sm/behaviour.ts';
import sr from './sr/behaviour.ts';
import subject from './subject/behaviour.ts';
import task from './task/behaviour.ts';
import user from './user/behaviour.ts';
import vbd from './vbd/behaviour.ts';
import vdi from './vdi/behaviour.ts';
import vif from './vif/behaviour.ts';
import vm from './vm/behaviour.ts';
import vm_appliance from './vm_appliance/behaviour.ts';
import vm_group from './vm_group/behaviour.ts';
import vm_guest_metrics from './vm_guest_metrics/behaviour.ts';
import vm_metrics from './vm_metrics/behaviour.ts';
import vmss from './vmss/behaviour.ts';
import vtpm from './vtpm/behaviour.ts';

/** What each class does, beside what its declaration says it is. */
export const behaviours: readonly Behaviour<any>[] = [
  blob,
  caller,
  consoleBehaviour,
  host,
  message,
  network,
  pbd,
  pif,
  pool,
  rate_limit,
  role,
  secret,
  session,
  sm,
  sr,
  subject,
  task,
  user,
  vbd,
  vdi,
  vif,
  vm,
  vm_appliance,
  vm_group,
  vm_guest_metrics,
  vm_metrics,
  vmss,
  vtpm,
];

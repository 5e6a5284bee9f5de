import type { Behaviour } from '../src/objects/implement.ts';
import blob from './blob/behaviour.ts';
import consoleBehaviour from './console/behaviour.ts';
import host from './host/behaviour.ts';
import pbd from './pbd/behaviour.ts';
import secret from './secret/behaviour.ts';
import session from './session/behaviour.ts';
import sm from './sm/behaviour.ts';
import sr from './sr/behaviour.ts';
import task from './task/behaviour.ts';
import vbd from './vbd/behaviour.ts';
import vdi from './vdi/behaviour.ts';
import vif from './vif/behaviour.ts';
import vm from './vm/behaviour.ts';
import vm_guest_metrics from './vm_guest_metrics/behaviour.ts';
import vm_metrics from './vm_metrics/behaviour.ts';

/** What each class does, beside what its declaration says it is. */
export const behaviours: readonly Behaviour<any>[] = [
  blob,
  consoleBehaviour,
  host,
  pbd,
  secret,
  session,
  sm,
  sr,
  task,
  vbd,
  vdi,
  vif,
  vm,
  vm_guest_metrics,
  vm_metrics,
];

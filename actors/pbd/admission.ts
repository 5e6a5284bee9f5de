import type { Ref } from '../../src/model/types.ts';
import { diskInTheWay } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';

/** Connections to one repository may be made side by side; everything else waits for it to be idle. */
export const admitOnPbd = (view: View, self: Ref<'PBD'>, operation: string): Fault | undefined => {
  const { SR } = view.require('PBD', self);
  for (const [task, running] of view.get('SR', SR)?.current_operations ?? []) {
    if (operation === 'plug' && running === 'plug') continue;
    return new Fault('OTHER_OPERATION_IN_PROGRESS', ['SR', SR, running, task]);
  }
  return operation === 'unplug' ? diskInTheWay(view, SR) : undefined;
};

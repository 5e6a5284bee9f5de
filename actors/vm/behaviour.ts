import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { isLive } from '../../src/objects/places.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { newBlob } from '../../src/rules/blobs.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { vmAllowedOperations, vmRefusal } from './admission.ts';
import { asking } from './asking.ts';
import { checkpointing } from './checkpointing.ts';
import { VM } from './class.ts';
import { copying } from './copying.ts';
import { create, destroy } from './creating.ts';
import { exporting } from './exporting.ts';
import { importing, importingByUrl } from './importing.ts';
import { leaving } from './leaving.ts';
import { memory, overheadBytes } from './memory.ts';
import { migrating } from './migrating.ts';
import type { Operation } from './operations.ts';
import { power } from './power.ts';
import { provisioning } from './provisioning.ts';
import { queries } from './queries.ts';
import { reverting } from './reverting.ts';
import { set_is_a_template, settings } from './settings.ts';
import { stopping } from './stopping.ts';
import { telling } from './telling.ts';
import { vcpus } from './vcpus.ts';
import { xenstoreData } from './xenstore-data.ts';

const seatOf = (vm: RecordNamed<'VM'> | undefined): Ref<'host'> =>
  vm === undefined || vm.resident_on === nullRef
    ? (vm?.scheduled_to_be_resident_on ?? (nullRef as Ref<'host'>))
    : vm.resident_on;

const isOutOfReach = (view: View, self: Ref<'VM'>): boolean => !isLive(view, seatOf(view.get('VM', self)));

const isArriving = (view: View, self: Ref<'VM'>): boolean =>
  (view.get('VM', self)?.imported_by ?? nullRef) !== nullRef;

/** Until its disks are filled nothing can be done with it, but what fills them. */
const arrivingRefusal = (self: Ref<'VM'>, operation: string): Fault | undefined =>
  operation === 'import' ? undefined : new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, 'import', '']);

/** Nobody knows on which side it is, and nobody works on it: who begins the move again finds out. */
const isAway = (vm: RecordNamed<'VM'> | undefined): boolean =>
  vm !== undefined && vm.departure.size > 0 && vm.current_operations.size === 0;

const awayRefusal = (self: Ref<'VM'>): Fault =>
  new Fault('OPERATION_NOT_ALLOWED', [
    `Whether ${self} has arrived in another pool is not known: it is asked now and then. If that pool was ` +
      'started again, call VM.migrate_send once more with a new answer of its host.migrate_receive',
  ]);

export default implement(
  VM,
  {
    home: (_view, _self, record) => seatOf(record),
    admit: (view, self, operation, insists) =>
      // What runs on a host that is out of reach never ends, and this is how somebody says so.
      operation === 'power_state_reset' && isOutOfReach(view, self)
        ? undefined
        : isArriving(view, self)
          ? arrivingRefusal(self, operation)
          : operation !== 'migrate_send' && isAway(view.get('VM', self))
            ? awayRefusal(self)
            : faultFrom(vmRefusal(view, self, operation as Operation, !insists)),
    derive: (view, self, record) => ({
      allowed_operations: isAway(record)
        ? ['migrate_send' as const]
        : vmAllowedOperations(view, self, record),
      memory_overhead: overheadBytes(record.memory_static_max, record.VCPUs_max),
    }),
    affects: ({ VBDs, VIFs, VTPMs, appliance }) => [
      ['VM_appliance', appliance] as const,
      ...VBDs.map((ref) => ['VBD', ref] as const),
      ...VIFs.map((ref) => ['VIF', ref] as const),
      ...VTPMs.map((ref) => ['VTPM', ref] as const),
    ],
  },
  {
    create,
    destroy,
    set_is_a_template,
    ...leaving,
    ...telling({ ...power, ...migrating, ...stopping, ...copying, ...checkpointing, ...reverting }),
    ...provisioning,
    ...memory,
    ...asking,
    ...vcpus,
    ...settings,
    ...xenstoreData,
    ...queries,
    ...importingByUrl,
    create_new_blob: newBlob('VM'),
  },
  { ...exporting, ...importing },
);

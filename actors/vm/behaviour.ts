import { nullRef } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { vmAllowedOperations, vmRefusal } from './admission.ts';
import { VM } from './class.ts';
import { copying } from './copying.ts';
import { create, destroy } from './creating.ts';
import { memory } from './memory.ts';
import type { Operation } from './operations.ts';
import { power } from './power.ts';
import { provisioning } from './provisioning.ts';
import { queries } from './queries.ts';
import { reverting } from './reverting.ts';
import { set_is_a_template, settings } from './settings.ts';
import { stopping } from './stopping.ts';
import { vcpus } from './vcpus.ts';

export default implement(
  VM,
  {
    home: (_view, _self, { resident_on, scheduled_to_be_resident_on: coming }) =>
      resident_on === nullRef ? coming : resident_on,
    admit: (view, self, operation) => faultFrom(vmRefusal(view, self, operation as Operation)),
    derive: (view, self, record) => ({ allowed_operations: vmAllowedOperations(view, self, record) }),
    affects: ({ VBDs, VIFs }) => [
      ...VBDs.map((ref) => ['VBD', ref] as const),
      ...VIFs.map((ref) => ['VIF', ref] as const),
    ],
  },
  {
    create,
    destroy,
    set_is_a_template,
    ...power,
    ...stopping,
    ...copying,
    ...reverting,
    ...provisioning,
    ...memory,
    ...vcpus,
    ...settings,
    ...queries,
  },
);

import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, datetime, oneOf, string, stringMap } from '../../src/model/types.ts';
import { toldByGuest } from '../enums.ts';
import { since } from './since.ts';

export const tristateType = oneOf('tristate_type', ['yes', 'no', 'unspecified']);

export const VM_guest_metrics = defineClass('VM_guest_metrics', {
  doc: 'What the agent inside a guest reports of it. All of it is only as good as that agent.',
  since,
  writeRole: 'vm-admin',
  fields: {
    uuid: dyn(string, 'Identity of this set of figures, not of the VM.'),
    os_version: dyn(
      toldByGuest,
      'Operating system of the guest: `name`, `distro`, `major`, `minor`, `uname`.',
    ),
    netbios_name: dyn(toldByGuest, 'Names that a Windows guest goes by, such as `host_name` and `domain`.', {
      default: new Map(),
    }),
    PV_drivers_version: dyn(
      toldByGuest,
      'Version of the guest drivers in parts: `major`, `minor`, `micro`, `build`.',
    ),
    PV_drivers_up_to_date: dyn(
      bool,
      'Same as `PV_drivers_detected`, which clients should read in its place.',
    ),
    memory: dyn(stringMap, 'No longer filled; memory use is among the recorded measurements.', {
      default: new Map(),
      removed: true,
    }),
    disks: dyn(stringMap, 'No longer filled; how full disks are is known in the guest only.', {
      default: new Map(),
      removed: true,
    }),
    networks: dyn(toldByGuest, 'Addresses by card and kind: `0/ip`, `0/ipv4/0`, `0/ipv6/0` and so on.'),
    other: dyn(
      toldByGuest,
      'Further facts from the agent, such as `feature-suspend` and `data-cant-suspend-reason`.',
    ),
    last_updated: dyn(datetime, 'When the agent last reported something new, in UTC.'),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    live: dyn(bool, 'True while the agent is known to be running.', { default: false }),
    can_use_hotplug_vbd: dyn(tristateType, 'Whether disks can be plugged into the running guest.', {
      default: 'unspecified',
    }),
    can_use_hotplug_vif: dyn(tristateType, 'Whether network cards can be plugged into the running guest.', {
      default: 'unspecified',
    }),
    PV_drivers_detected: dyn(bool, 'True if at least one guest driver is in use.', { default: false }),
    services: dyn(toldByGuest, 'Versions of services in the guest that have announced themselves, by name.', {
      default: new Map(),
    }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VM_guest_metrics: typeof VM_guest_metrics;
  }
}

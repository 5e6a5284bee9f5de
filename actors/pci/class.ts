import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { int, nullRef, ref, set, string, stringMap } from '../../src/model/types.ts';
import { pciDom0Access } from '../enums.ts';
import { since } from './since.ts';

export const PCI = defineClass('PCI', {
  doc: 'A device on the PCI bus of a host.',
  since,
  writeRole: 'pool-operator',
  needs: ['host'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    class_id: ro(string, 'Kind of device by its PCI number.', { default: '' }),
    class_name: ro(string, 'Kind of device by name.', { default: '' }),
    vendor_id: ro(string, 'Vendor by its PCI number.', { default: '' }),
    vendor_name: ro(string, 'Vendor by name.', { default: '' }),
    device_id: ro(string, 'Model by its PCI number.', { default: '' }),
    device_name: ro(string, 'Model by name.', { default: '' }),
    host: ro(ref('host'), 'Host that the device is in.', {
      default: nullRef,
      inverse: 'host.PCIs',
      gone: 'collected',
    }),
    pci_id: ro(string, 'Place on the bus: domain, bus, slot and function.', { default: '' }),
    functions: dyn(int, 'Number of functions that the device has.', { default: 1n, internal: true }),
    virtual_functions: dyn(set(ref('PCI')), 'Devices that this one offers in its place.', {
      inverse: 'PCI.physical_function',
      computed: true,
      internal: true,
    }),
    physical_function: ro(ref('PCI'), 'Device that offers this one; null for a real device.', {
      default: nullRef,
      inverse: 'PCI.virtual_functions',
      internal: true,
      gone: 'cleared',
    }),
    attached_VMs: dyn(set(ref('VM')), 'VMs that have the device to themselves.', {
      inverse: 'VM.attached_PCIs',
      internal: true,
      gone: 'cleared',
    }),
    dependencies: dyn(set(ref('PCI')), 'Devices that must go to the same VM together with this one.', {
      gone: 'cleared',
    }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    subsystem_vendor_id: ro(string, 'Maker of the board by its PCI number.', { default: '' }),
    subsystem_vendor_name: ro(string, 'Maker of the board by name.', { default: '' }),
    subsystem_device_id: ro(string, 'Board by its PCI number.', { default: '' }),
    subsystem_device_name: ro(string, 'Board by name.', { default: '' }),
    scheduled_to_be_attached_to: dyn(
      ref('VM'),
      'VM that will get the device when it starts; null for none.',
      { default: nullRef, internal: true, gone: 'cleared' },
    ),
    driver_name: ro(string, 'Driver in the kernel of the host that is bound to the device.', { default: '' }),
  },
  messages: {
    disable_dom0_access: {
      doc: 'Hide the device from the host itself from the next boot on, so that guests can have it.',
      role: 'pool-operator',
      self: 'self',
      result: pciDom0Access,
      async: true,
    },
    enable_dom0_access: {
      doc: 'Give the device back to the host itself from the next boot on.',
      role: 'pool-operator',
      self: 'self',
      result: pciDom0Access,
      async: true,
    },
    get_dom0_access_status: {
      doc: 'Whether the host itself has the device, now and after the next boot.',
      role: 'pool-operator',
      self: 'self',
      result: pciDom0Access,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PCI: typeof PCI;
  }
}

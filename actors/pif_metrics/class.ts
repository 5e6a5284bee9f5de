import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, datetime, float, int, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const PIF_metrics = defineClass('PIF_metrics', {
  doc: 'What is known of the card behind a network interface of a host, and its link.',
  since,
  writeRole: 'pool-operator',
  needs: ['PIF.metrics'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    io_read_kbs: dyn(
      float,
      'Kilobytes received per second; always 0, as the round robin databases hold it now.',
      { default: 0, persist: false, removed: true, column: 'io__read_kbs' },
    ),
    io_write_kbs: dyn(
      float,
      'Kilobytes sent per second; always 0, as the round robin databases hold it now.',
      { default: 0, persist: false, removed: true, column: 'io__write_kbs' },
    ),
    carrier: dyn(bool, 'True if the card sees a link.'),
    vendor_id: dyn(string, 'Vendor of the card by its PCI number.'),
    vendor_name: dyn(string, 'Vendor of the card by name.'),
    device_id: dyn(string, 'Model of the card by its PCI number.'),
    device_name: dyn(string, 'Model of the card by name.'),
    speed: dyn(int, 'Speed of the link in Mbit/s; 0 without a link.'),
    duplex: dyn(bool, 'True if the link carries both directions at once.'),
    pci_bus_path: dyn(string, 'Place of the card on the PCI bus.'),
    last_updated: dyn(datetime, 'When this was last written.'),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PIF_metrics: typeof PIF_metrics;
  }
}

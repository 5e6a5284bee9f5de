import type { StoragePlugin } from '../drivers/storage/storage.ts';

/** A type of repository that a simulated pool has. */
export interface SimulatedType {
  readonly name: string;
  readonly description: string;
  /** All hosts see the same. */
  readonly shared: boolean;
}

/** Types that clients know, and whether hosts share what is in them. */
export const simulatedTypes: ReadonlyMap<string, SimulatedType> = new Map([
  ['file', { name: 'File', description: 'Disks of a host, simulated', shared: false }],
  ['ext', { name: 'Local EXT3', description: 'Disks of a host, simulated', shared: false }],
  ['lvm', { name: 'Local LVM', description: 'Disks of a host, simulated', shared: false }],
  ['nfs', { name: 'NFS VHD', description: 'A filer that all hosts see, simulated', shared: true }],
  [
    'lvmoiscsi',
    { name: 'LVM over iSCSI', description: 'A target that all hosts see, simulated', shared: true },
  ],
  ['iso', { name: 'ISO', description: 'CD images that all hosts see, simulated', shared: true }],
]);

const features = [
  'SR_PROBE',
  'SR_SCAN',
  'SR_UPDATE',
  'VDI_CREATE',
  'VDI_DELETE',
  'VDI_ATTACH',
  'VDI_DETACH',
  'VDI_CLONE',
  'VDI_CONFIG_CBT',
  'VDI_SNAPSHOT',
  'VDI_RESIZE',
  'VDI_RESIZE_ONLINE',
  'VDI_MIRROR',
  'VDI_UPDATE',
  'VDI_INTRODUCE',
];

export const simulatedPlugins: readonly StoragePlugin[] = [...simulatedTypes].map(
  ([type, { name, description }]) => ({
    type,
    name,
    description,
    vendor: 'Xenact',
    copyright: '',
    version: '1.0',
    requiredApiVersion: '5.0',
    features: new Map(features.map((feature) => [feature, 1n])),
    configuration: new Map(),
    requiredClusterStack: [],
    driverFilename: '',
  }),
);

import type { ShownClass } from './shown-class.ts';

/** Disks and where they are. */
export const storage: readonly ShownClass[] = [
  {
    name: 'vdi',
    cls: 'VDI',
    list: 'uuid name-label name-description virtual-size read-only sharable sr-uuid',
    fields: `
      uuid name-label name-description is-a-snapshot!fixed snapshot-of!fixed snapshots!text
      snapshot-time!fixed allowed-operations current-operations sr-uuid:SR
      sr-name-label:SR.name_label vbd-uuids:VBDs crashdump-uuids:crash_dumps virtual-size!fixed
      physical-utilisation!fixed location type sharable!fixed read-only!fixed storage-lock
      managed!fixed parent!deprecated missing!fixed is-tools-iso other-config xenstore-data!fixed
      sm-config!fixed on-boot allow-caching metadata-latest metadata-of-pool!fixed tags!comma
      cbt-enabled!fixed
    `,
  },
  {
    name: 'sr',
    cls: 'SR',
    list: 'uuid name-label name-description host type content-type',
    fields: `
      uuid name-label name-description host!call allowed-operations current-operations VDIs PBDs
      virtual-allocation!fixed physical-utilisation!fixed physical-size!fixed type content-type
      shared introduced-by is-tools-sr other-config sm-config!fixed blobs!text local-cache-enabled
      tags!comma clustered
    `,
  },
  {
    name: 'sm',
    cls: 'SM',
    list: 'uuid type name-label name-description vendor copyright configuration',
    fields: `
      uuid name-label name-description type vendor copyright required-api-version
      capabilities!deprecated,text features configuration!text driver-filename
      required-cluster-stack!text,comma supported-image-formats!text
    `,
  },
  {
    name: 'pbd',
    cls: 'PBD',
    list: 'uuid host-uuid sr-uuid device-config currently-attached',
    fields: `
      uuid host!deprecated host-uuid:host host-name-label:host.name_label sr-uuid:SR
      sr-name-label:SR.name_label device-config currently-attached other-config
    `,
  },
  {
    name: 'drtask',
    cls: 'DR_task',
    fields: `
      uuid introduced-SRs!text
    `,
  },
];

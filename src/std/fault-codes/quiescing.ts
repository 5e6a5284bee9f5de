/** Snapshots for which the guest is asked to hold still. */
export const quiescing = {
  VM_SNAPSHOT_WITH_QUIESCE_FAILED: ['vm'],
  VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED: ['vm', 'error'],
  VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND: ['vm'],
  VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT: ['vm'],
  XEN_VSS_REQ_ERROR_ADDING_VOLUME_TO_SNAPSET_FAILED: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT_XML_STRING: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_INIT_FAILED: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_PREPARING_WRITERS: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_PROV_NOT_LOADED: ['vm', 'error_code'],
  XEN_VSS_REQ_ERROR_START_SNAPSHOT_SET_FAILED: ['vm', 'error_code'],
} as const satisfies Record<string, readonly string[]>;

/** Files that VMs are imported from. */
export const imports = {
  IMPORT_ERROR: ['msg'],
  IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND: [],
  IMPORT_ERROR_CANNOT_HANDLE_CHUNKED: [],
  IMPORT_ERROR_FAILED_TO_FIND_OBJECT: ['id'],
  IMPORT_ERROR_PREMATURE_EOF: [],
  IMPORT_ERROR_SOME_CHECKSUMS_FAILED: [],
  IMPORT_ERROR_UNEXPECTED_FILE: ['filename_expected', 'filename_found'],
  IMPORT_INCOMPATIBLE_VERSION: [],
} as const satisfies Record<string, readonly string[]>;

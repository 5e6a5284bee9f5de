import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  put_import: action('PUT', '/import', 'vm-admin', 'Takes VMs with their disks as an XVA file.'),
  put_import_metadata: action('PUT', '/import_metadata', 'vm-admin', 'Takes VMs without their disks.'),
  get_export: action('GET', '/export', 'vm-admin', 'Gives a VM with its disks as an XVA file.'),
  get_export_metadata: action('GET', '/export_metadata', 'vm-admin', 'Gives VMs without their disks.'),
  vm_rrd: action('GET', '/vm_rrd', 'read-only', 'Gives the measurements of a VM.'),
  get_vm_rrds: action('GET', '/vm_rrds', 'read-only', 'Gives the measurements of a VM.'),
} as const;

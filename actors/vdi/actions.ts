import { action } from '../../src/model/class.ts';
import { string } from '../../src/model/types.ts';

const image = {
  format: [string, 'Of the bytes: raw.', 'raw'],
  base: [string, 'Snapshot that the client has: not built.', ''],
  chunked: [string, 'Pieces with their places: not built.', ''],
} as const;

/** What clients ask for by HTTP. */
export const actions = {
  put_import_raw_vdi: action('PUT', '/import_raw_vdi', 'vm-admin', 'Writes the bytes of a disk.', {
    self: 'vdi',
    task: 'Importing raw VDI',
    params: image,
  }),
  get_export_raw_vdi: action('GET', '/export_raw_vdi', 'vm-admin', 'Gives the bytes of a disk.', {
    self: 'vdi',
    task: 'Exporting raw VDI',
    params: image,
  }),
} as const;

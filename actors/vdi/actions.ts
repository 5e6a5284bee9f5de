import { action } from '../../src/model/class.ts';
import { bool, int, nullRef, ref, string } from '../../src/model/types.ts';

const format = [string, 'Of the bytes: raw, vhd, qcow2 or tar.', 'raw'] as const;

/** What clients ask for by HTTP. */
export const actions = {
  put_import_raw_vdi: action('PUT', '/import_raw_vdi', 'vm-admin', 'Writes an image to a disk.', {
    self: 'vdi',
    task: 'Importing raw VDI',
    params: {
      format,
      chunked: [string, 'Given, whatever it says: the bytes are pieces with their places.', 'absent'],
    },
  }),
  get_export_raw_vdi: action('GET', '/export_raw_vdi', 'vm-admin', 'Gives a disk as an image.', {
    self: 'vdi',
    task: 'Exporting raw VDI',
    params: {
      format,
      base: [ref('VDI'), 'A snapshot that the client has: only what differs from it is given.', nullRef],
    },
  }),
  connect_nbd: action('GET', '/nbd', 'vm-admin', 'Serves a disk over NBD, in a WebSocket or on a port.', {
    self: 'vdi',
    duplex: true,
    params: {
      option: [int, 'Of NBD, by which the client named the disk: the answer to it comes first.', 7n],
      structured: [bool, 'Replies come in chunks.', false],
      allocation: [bool, 'The client asks where there is nothing.', false],
      noZeros: [bool, 'The client wants no padding.', false],
    },
  }),
} as const;

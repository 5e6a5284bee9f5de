import type { TransferFormat } from './image.ts';
import { qcow2 } from './qcow2.ts';
import { raw } from './raw.ts';
import { tar } from './tar.ts';
import { vhd } from './vhd.ts';

/** Formats by the name that clients give them, in lower case. */
export const imageFormats: ReadonlyMap<string, TransferFormat> = new Map([
  ['raw', raw],
  ['vhd', vhd],
  ['qcow2', qcow2],
  ['tar', tar],
]);

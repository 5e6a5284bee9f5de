import { createReadStream } from 'node:fs';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { type Adopted, adopt } from '../assembly/adopt.ts';
import { catalogOf } from '../objects/catalog.ts';
import { readState } from '../rules/state-db/read.ts';
import { stateText } from '../rules/state-db/text.ts';
import { sleep } from '../std/clock.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import { schemasOf } from '../store/schema.ts';
import { xenactLog } from './log.ts';
import { machine } from './machine.ts';
import { StartFailure } from './start-failure.ts';

/** Where an XCP-ng host keeps which host it is. */
const inventory = '/etc/xensource-inventory';
const inventoryBytesMax = 65_536;

/** What a file would become. Throws StartFailure or UnusableError where it cannot be taken. */
export const adoptedFrom = async (
  file: string,
  host: { readonly old: string; readonly uuid: string } | undefined,
  keepsSecrets: boolean,
): Promise<Adopted> => {
  const catalog = catalogOf(classes, behaviours);
  try {
    const text = await stateText(createReadStream(file));
    const state = await readState(text, schemasOf(classes), () => sleep(machine.clock, 0));
    const own = await ownUuid();
    const wish = { state, keepsSecrets, ...(host && { host }), ...(own && { machine: own }) };
    return await adopt({ catalog, clock: machine.clock, log: xenactLog('warn') }, wish);
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    if (!(error instanceof DecodeFailure) && code !== 'ENOENT' && code !== 'EISDIR') throw error;
    throw new StartFailure(`${file} cannot be taken over: ${message}. Nothing was written.`);
  }
};

/** Undefined where this machine has never been a host of such a pool. */
const ownUuid = async (): Promise<string | undefined> => {
  const text = await machine.disk.readText(inventory, inventoryBytesMax).catch(() => '');
  return /^INSTALLATION_UUID='([^']*)'$/m.exec(text)?.[1];
};

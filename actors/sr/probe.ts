import type { Probed, SrStat } from '../../src/drivers/storage/storage.ts';
import type { ArgsOf, RecordNamed } from '../../src/model/class.ts';
import type { Working } from '../../src/objects/implement.ts';
import { withPasswords } from '../../src/rules/device-config.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { featuresOf, writesRows } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Struct, struct } from '../../src/std/value.ts';
import type { View } from '../../src/store/view.ts';
import type { SR } from './class.ts';
import { requireDriver } from './create.ts';

type ProbeArgs = ArgsOf<typeof SR.messages.probe>;

const ask = async (
  working: Working<'SR'>,
  { host, type, device_config, sm_config }: ProbeArgs,
): Promise<readonly Probed[] | string> => {
  const { view, services } = working;
  view.require('host', host);
  requireDriver(view, type);
  if (writesRows(view, type) && !featuresOf(view, type).has('SR_PROBE')) throw cannotProbe(type);
  const call = { ...storageCall(working, 'SR.probe'), settings: sm_config };
  const found = await withPasswords(view, device_config, (config) =>
    services.storage.probeSr(type, config, call),
  );
  if (typeof found === 'string') return found;
  return found.map((one) => named(view, type, one));
};

/** Storage that has no uuid of its own, such as a folder of images, has that of the repository there. */
const named = (view: View, type: string, found: Probed): Probed => {
  if (found.uuid !== undefined || !found.complete) return found;
  const isThere = ({ device_config }: RecordNamed<'PBD'>): boolean =>
    device_config.size === found.configuration.size &&
    [...device_config].every(([key, value]) => found.configuration.get(key) === value);
  for (const [, sr] of view.all('SR')) {
    if (sr.type !== type) continue;
    if (sr.PBDs.some((pbd) => isThere(view.require('PBD', pbd)))) return { ...found, uuid: sr.uuid };
  }
  return found;
};

const cannotProbe = (type: string): Fault => new Fault('SR_OPERATION_NOT_SUPPORTED', [type]);

/** The older form: a document of the driver's own, or an XML list of the repositories that were found. */
export const probe = async (working: Working<'SR'>, args: ProbeArgs): Promise<string> => {
  const found = await ask(working, args);
  if (typeof found === 'string') return found;
  const known = found.filter(({ uuid }) => uuid !== undefined);
  const items = known.map(({ uuid }) => `\t<SR>\n\t\t<UUID>${escaped(uuid ?? '')}</UUID>\n\t</SR>\n`);
  return `<?xml version="1.0" ?>\n<SRlist>\n${items.join('')}</SRlist>\n`;
};

export const probeExt = async (working: Working<'SR'>, args: ProbeArgs): Promise<readonly Struct[]> => {
  const found = await ask(working, args);
  if (typeof found === 'string') throw cannotProbe(args.type);
  return found.map(({ configuration, complete, uuid, stat, extraInfo }) =>
    struct({
      configuration,
      complete,
      sr: stat && repository(stat, uuid),
      extra_info: extraInfo,
    }),
  );
};

const repository = (stat: SrStat, uuid: string | undefined): Struct =>
  struct({
    uuid,
    name_label: stat.name,
    name_description: stat.description,
    free_space: stat.freeBytes,
    total_space: stat.totalBytes,
    clustered: stat.clustered,
    health: stat.health.toLowerCase(),
  });

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

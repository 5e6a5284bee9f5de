import type { Probed, SrStat } from '../../src/drivers/storage/storage.ts';
import type { ArgsOf } from '../../src/model/class.ts';
import type { Working } from '../../src/objects/implement.ts';
import { withPasswords } from '../../src/rules/device-config.ts';
import { type Struct, struct } from '../../src/std/value.ts';
import type { SR } from './class.ts';
import { requireDriver } from './create.ts';

type ProbeArgs = ArgsOf<typeof SR.messages.probe>;

const ask = (
  working: Working<'SR'>,
  { host, type, device_config }: ProbeArgs,
): Promise<readonly Probed[]> => {
  const { view, services, signal } = working;
  view.require('host', host);
  requireDriver(view, type);
  const call = { debugInfo: 'SR.probe', signal };
  return withPasswords(view, device_config, (config) => services.storage.probeSr(type, config, call));
};

/** The older form: an XML list of the repositories that were found. */
export const probe = async (working: Working<'SR'>, args: ProbeArgs): Promise<string> => {
  const found = (await ask(working, args)).filter(({ uuid }) => uuid !== undefined);
  const items = found.map(({ uuid }) => `\t<SR>\n\t\t<UUID>${escaped(uuid ?? '')}</UUID>\n\t</SR>\n`);
  return `<?xml version="1.0" ?>\n<SRlist>\n${items.join('')}</SRlist>\n`;
};

export const probeExt = async (working: Working<'SR'>, args: ProbeArgs): Promise<readonly Struct[]> =>
  (await ask(working, args)).map(({ configuration, complete, uuid, stat, extraInfo }) =>
    struct({
      configuration,
      complete,
      sr: stat && found(stat, uuid),
      extra_info: extraInfo,
    }),
  );

const found = (stat: SrStat, uuid: string | undefined): Struct =>
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

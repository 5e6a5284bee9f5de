import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Deciding } from '../../src/objects/implement.ts';

type PowerOn = Pick<RecordNamed<'host'>, 'power_on_mode' | 'power_on_config'>;

/** Secrets that settings name, by their keys. */
const secretsOf = (config: ReadonlyMap<string, string>): readonly string[] =>
  [...config].flatMap(([key, uuid]) => (key.endsWith('password_secret') ? [uuid] : []));

/** The secrets of the settings before are nobody's any more. */
export const setPowerOn = ({ tx, self }: Deciding, settings: PowerOn): void => {
  const host = self as Ref<'host'>;
  const kept = secretsOf(settings.power_on_config);
  for (const uuid of secretsOf(tx.require('host', host).power_on_config)) {
    const secret = tx.byUuid('secret', uuid);
    if (secret !== undefined && !kept.includes(uuid)) tx.delete('secret', secret);
  }
  tx.patch('host', host, settings);
};

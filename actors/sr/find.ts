import type { Storage } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { DeviceConfig } from '../../src/rules/device-config.ts';

/**
 * Looks whether a repository is where it should be: answers how it is attached, undefined where it is not
 * there, and throws where nobody can say.
 */
export const findRepository = async (
  storage: Storage,
  { type, uuid }: Pick<RecordNamed<'SR'>, 'type' | 'uuid'>,
  config: DeviceConfig,
): Promise<DeviceConfig | undefined> => {
  const found = await storage.probeSr(type, config, { debugInfo: 'SR.probe' });
  if (typeof found === 'string') throw new Error(`A driver of type ${type} does not say what is there`);
  return found.find((one) => one.uuid === uuid)?.configuration;
};

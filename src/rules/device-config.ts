import { StorageError } from '../drivers/storage/storage.ts';
import type { Ref } from '../model/types.ts';
import type { Services } from '../objects/services.ts';
import { newRef } from '../objects/tasks.ts';
import type { Tx, View } from '../store/view.ts';

// Settings of a storage driver. Passwords are not for everybody who may read a PBD: each is kept as a
// secret, and the setting `password` becomes `password_secret`, which names it.

export type DeviceConfig = ReadonlyMap<string, string>;

const passwords: readonly string[] = ['password', 'cifspassword', 'chappassword', 'incoming_chappassword'];
const suffix = '_secret';

/** The settings to keep: passwords moved into new secrets. */
export const hidePasswords = (tx: Tx, config: DeviceConfig, services: Services): DeviceConfig =>
  new Map(
    [...config].map(([key, value]) => {
      if (!passwords.includes(key)) return [key, value];
      const uuid = services.random.uuid();
      tx.create('secret', newRef<'secret'>(services), { uuid, value });
      return [key + suffix, uuid];
    }),
  );

/** The settings as the driver wants them: secrets replaced by what they hold. */
const showPasswords = (view: View, config: DeviceConfig): DeviceConfig =>
  new Map(
    [...config].map(([key, value]) => {
      const secret = key.endsWith(suffix) ? secretOf(view, value) : undefined;
      return secret === undefined
        ? [key, value]
        : [key.slice(0, -suffix.length), view.require('secret', secret).value];
    }),
  );

const hidden = '(hidden)';

/**
 * Asks a driver with the settings as it wants them. Drivers quote their settings when they fail, and what
 * they say reaches tasks and logs: the passwords among the settings are taken out of it.
 */
export const withPasswords = async <T>(
  view: View,
  config: DeviceConfig,
  ask: (config: DeviceConfig) => Promise<T>,
): Promise<T> => {
  const whole = showPasswords(view, config);
  try {
    return await ask(whole);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const hide = (text: string): string =>
      [...whole]
        .filter(([key, value]) => value !== '' && (passwords.includes(key) || config.get(key) !== value))
        .reduce((left, [, value]) => left.replaceAll(value, hidden), text);
    throw new StorageError(hide(error.code), error.params.map(hide));
  }
};

/** Secrets go with the settings that name them. */
export const dropPasswords = (tx: Tx, config: DeviceConfig): void => {
  for (const [key, uuid] of config) {
    const secret = key.endsWith(suffix) ? secretOf(tx, uuid) : undefined;
    if (secret !== undefined) tx.delete('secret', secret);
  }
};

/** The row of a connection, and the secrets of its settings. */
export const forgetConnection = (tx: Tx, self: Ref<'PBD'>): void => {
  dropPasswords(tx, tx.get('PBD', self)?.device_config ?? new Map());
  tx.delete('PBD', self);
};

const secretOf = (view: View, uuid: string): Ref<'secret'> | undefined => view.byUuid('secret', uuid);

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
export const hidePasswords = (
  tx: Tx,
  config: DeviceConfig,
  services: Pick<Services, 'random'>,
): DeviceConfig =>
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

/** Kept in `other_config` of a connection that is to be made at the next start of its host. */
export const plugAtStartKey = 'xenact:plug-at-start';

/** Connects a host to all shared repositories, as others are; it does so itself when it starts. */
export const connectToShared = (tx: Tx, host: Ref<'host'>, services: Pick<Services, 'random'>): void => {
  for (const [SR, { shared, PBDs }] of [...tx.all('SR')]) {
    const known = shared ? PBDs.flatMap((ref) => tx.get('PBD', ref) ?? []) : [];
    const [like] = known;
    if (like === undefined || known.some((pbd) => pbd.host === host)) continue;
    tx.create('PBD', newRef<'PBD'>(services), {
      uuid: services.random.uuid(),
      host,
      SR,
      device_config: hidePasswords(tx, showPasswords(tx, like.device_config), services),
      other_config: new Map([[plugAtStartKey, 'true']]),
    });
  }
};

const secretOf = (view: View, uuid: string): Ref<'secret'> | undefined => view.byUuid('secret', uuid);

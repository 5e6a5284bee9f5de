import type { Ref } from '../model/types.ts';
import type { Tx, View } from '../store/view.ts';
import type { Services } from './services.ts';
import { newRef } from './tasks.ts';

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
export const showPasswords = (view: View, config: DeviceConfig): DeviceConfig =>
  new Map(
    [...config].map(([key, value]) => {
      const secret = key.endsWith(suffix) ? secretOf(view, value) : undefined;
      return secret === undefined
        ? [key, value]
        : [key.slice(0, -suffix.length), view.require('secret', secret).value];
    }),
  );

/** Secrets go with the settings that name them. */
export const dropPasswords = (tx: Tx, config: DeviceConfig): void => {
  for (const [key, uuid] of config) {
    const secret = key.endsWith(suffix) ? secretOf(tx, uuid) : undefined;
    if (secret !== undefined) tx.delete('secret', secret);
  }
};

const secretOf = (view: View, uuid: string): Ref<'secret'> | undefined => view.byUuid('secret', uuid);

import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement, type Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import {
  type DeviceConfig,
  dropPasswords,
  forgetConnection,
  hidePasswords,
} from '../../src/rules/device-config.ts';
import { requireUsableFolder } from '../../src/rules/usable-folder.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { PBD } from './class.ts';
import { onRepository, plug, unplug } from './plug.ts';

type Fields = Pick<RecordNamed<'PBD'>, 'host' | 'SR' | 'device_config'> & Partial<RecordNamed<'PBD'>>;

/** Why a host may not have this connection. */
const connectable = (view: View, { host, SR }: Fields): Fault | undefined => {
  view.require('host', host);
  const { PBDs, shared } = view.require('SR', SR);
  for (const ref of PBDs) {
    if (view.get('PBD', ref)?.host === host) return new Fault('PBD_EXISTS', [SR, host, ref]);
  }
  return PBDs.length > 0 && !shared ? new Fault('SR_NOT_SHARABLE', [SR, host]) : undefined;
};

const create = async (working: Working<'PBD'>, fields: Fields): Promise<Ref<'PBD'>> => {
  const { services, settle, view } = working;
  const fault = connectable(view, fields);
  if (fault !== undefined) throw fault;
  requireUsableFolder(view, fields.SR, fields.device_config);
  const ref = newRef<'PBD'>(services);
  settle((tx) =>
    tx.create('PBD', ref, {
      ...fields,
      uuid: services.random.uuid(),
      device_config: hidePasswords(tx, fields.device_config, services),
    }),
  );
  return ref;
};

const plugged = (view: View, self: Ref<'PBD'>): Fault | undefined =>
  view.require('PBD', self).currently_attached
    ? new Fault('OPERATION_NOT_ALLOWED', ['The PBD is plugged; unplug it first'])
    : undefined;

const setDeviceConfig = ({ tx, self, services }: Deciding, value: DeviceConfig): void => {
  const pbd = self as Ref<'PBD'>;
  const { SR, device_config: before } = tx.require('PBD', pbd);
  requireUsableFolder(tx, SR, value);
  const after = hidePasswords(tx, value, services);
  tx.patch('PBD', pbd, { device_config: after });
  const kept = new Set(after.values());
  dropPasswords(tx, new Map([...before].filter(([, text]) => !kept.has(text))));
};

export default implement(
  PBD,
  {
    owner: ({ host }) => ['host', host],
    affects: ({ SR }) => [['SR', SR]],
  },
  {
    create: {
      operation: 'pbd_create',
      offline: true,
      on: ({ SR }: Fields, view) => {
        view.require('SR', SR);
        return SR;
      },
      work: create,
    },
    destroy: {
      holds: onRepository('pbd_destroy'),
      offline: true,
      unless: plugged,
      work: async ({ self, settle }) => settle((tx) => forgetConnection(tx, self)),
    },
    plug: { holds: onRepository('plug'), work: plug },
    unplug: { holds: onRepository('unplug'), work: unplug },
    set_device_config: {
      decide: (deciding, { value }) => setDeviceConfig(deciding, value),
    },
  },
);

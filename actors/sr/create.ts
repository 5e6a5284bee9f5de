import type { SrScan, StorageCall } from '../../src/drivers/storage/storage.ts';
import type { ArgsOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Deciding, Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import {
  type DeviceConfig,
  dropPasswords,
  hidePasswords,
  withPasswords,
} from '../../src/rules/device-config.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import type { SR } from './class.ts';
import { beginCreate } from './cut-off.ts';
import { forgetRows } from './end.ts';
import { reconcile } from './reconcile.ts';

type CreateArgs = ArgsOf<typeof SR.messages.create>;

export const requireDriver = (view: View, type: string): void => {
  for (const [, sm] of view.all('SM')) if (sm.type === type) return;
  throw new Fault('SR_UNKNOWN_DRIVER', [type]);
};

/**
 * Its rows are there from the beginning, so that a host which ends in the middle knows what it has begun.
 * Then the storage is made, attached here and looked at.
 */
export const create = async (working: Working<'SR'>, args: CreateArgs): Promise<Ref<'SR'>> => {
  const { view, services } = working;
  view.require('host', args.host);
  requireDriver(view, args.type);
  const ref = newRef<'SR'>(services);
  const uuid = services.random.uuid();
  const begun = beginCreate(working, ref);
  undoRows(working, ref);
  await working.commit((tx) => {
    tx.create('SR', ref, { ...rowOf(args), uuid });
    connect(tx, working, { sr: ref, host: args.host, configuration: args.device_config });
    begun.note(tx);
  });
  const { configuration, scanned } = await make(working, args, uuid);
  const rows = (tx: Tx): void => {
    reconnect(tx, working, ref, configuration);
    if (args.shared) connectOthers(tx, working, ref, configuration);
    if (scanned.written !== true) reconcile(tx, ref, scanned, services);
    begun.end(tx);
  };
  if (args.shared) await share(working, ref, rows);
  else working.settle(rows);
  return ref;
};

/** What is on this host's side of a new repository: made, attached and looked at. */
const make = async (
  working: Working<'SR'>,
  { type, name_label: name, name_description: description, physical_size, device_config }: CreateArgs,
  uuid: string,
): Promise<{ readonly configuration: DeviceConfig; readonly scanned: SrScan }> => {
  const { view, services } = working;
  const { storage } = services;
  const call = storageCall(working, 'SR.create');
  const later = { debugInfo: 'SR.create' };
  const configuration = await withPasswords(view, device_config, (config) =>
    storage.createSr(
      type,
      { uuid, name, description, configuration: config, sizeBytes: physical_size },
      call,
    ),
  );
  const attach = (by: StorageCall): Promise<unknown> =>
    withPasswords(view, configuration, (config) => storage.attachSr(type, uuid, config, by));
  working.undo(async () => {
    await attach(later);
    await storage.destroySr(uuid, later);
  });
  working.progress(0.5);
  await attach(call);
  return { configuration, scanned: await storage.scanSr(uuid, call) };
};

const undoRows = (working: Working<'SR'>, sr: Ref<'SR'>): void =>
  working.undo(() =>
    working.commit((tx) => (tx.get('SR', sr) === undefined ? undefined : forgetRows(tx, sr))),
  );

const ownPbd = (view: View, sr: Ref<'SR'>, host: Ref<'host'>): Ref<'PBD'> => {
  const own = view.require('SR', sr).PBDs.find((ref) => view.get('PBD', ref)?.host === host);
  if (own === undefined) throw new Fault('SR_HAS_NO_PBDS', [sr]);
  return own;
};

/** Has the other hosts connect as well. One that cannot is not in the way: its PBD can be plugged later. */
const share = async (working: Working<'SR'>, sr: Ref<'SR'>, rows: (tx: Tx) => void): Promise<void> => {
  const { view, services, call } = working;
  await working.commit(rows);
  const others = view.require('SR', sr).PBDs.filter((ref) => view.get('PBD', ref)?.host !== services.host);
  await Promise.all(
    others.map((pbd) =>
      call('PBD.plug', pbd, {}).catch((error: unknown) =>
        services.log.warn({ error, pbd, sr }, 'A host could not connect to a new shared repository'),
      ),
    ),
  );
};

const rowOf = (
  args: Pick<
    CreateArgs,
    'name_label' | 'name_description' | 'type' | 'content_type' | 'shared' | 'sm_config'
  >,
) => ({
  name_label: args.name_label,
  name_description: args.name_description,
  type: args.type,
  content_type: args.content_type,
  shared: args.shared,
  sm_config: args.sm_config,
  default_vdi_visibility: true,
});

interface Connection {
  readonly sr: Ref<'SR'>;
  readonly host: Ref<'host'>;
  readonly configuration: DeviceConfig;
}

const connect = (tx: Tx, { services }: Working<'SR'>, { sr, host, configuration }: Connection): void => {
  tx.create('PBD', newRef<'PBD'>(services), {
    uuid: services.random.uuid(),
    host,
    SR: sr,
    // Secrets of its own: they go with it.
    device_config: hidePasswords(tx, configuration, services),
  });
};

/** As the storage that was made is to be attached, which may be told otherwise than it was made. */
const reconnect = (tx: Tx, { services }: Working<'SR'>, sr: Ref<'SR'>, configuration: DeviceConfig): void => {
  const own = ownPbd(tx, sr, services.host);
  dropPasswords(tx, tx.require('PBD', own).device_config);
  const device_config = hidePasswords(tx, configuration, services);
  tx.patch('PBD', own, { device_config, currently_attached: true });
};

/** Every host of the pool gets a PBD to shared storage. */
const connectOthers = (tx: Tx, working: Working<'SR'>, sr: Ref<'SR'>, configuration: DeviceConfig): void => {
  for (const [host] of [...tx.all('host')]) {
    if (host !== working.services.host) connect(tx, working, { sr, host, configuration });
  }
};

/** The storage is there already: only its row is made, and PBDs follow by `PBD.create`. */
export const introduce = (
  { tx, services }: Deciding,
  args: ArgsOf<typeof SR.messages.introduce>,
): Ref<'SR'> => {
  const uuid = args.uuid === '' ? services.random.uuid() : args.uuid;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid))
    throw new Fault('INVALID_VALUE', ['uuid', uuid]);
  if (tx.byUuid('SR', uuid) !== undefined) throw new Fault('SR_UUID_EXISTS', [uuid]);
  requireDriver(tx, args.type);
  const ref = newRef<'SR'>(services);
  tx.create('SR', ref, { ...rowOf(args), uuid });
  return ref;
};

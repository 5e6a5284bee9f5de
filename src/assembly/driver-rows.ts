import type { SmRows, SmVdi } from '../drivers/sm-rows.ts';
import type { SrStat, Volume } from '../drivers/storage/storage.ts';
import type { RecordNamed } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { diskAt, featuresOf, hostOfSr } from '../rules/storage-rows.ts';
import type { Assembled } from './assemble.ts';

/** Drivers are called before there is a host to call back: rows are there once it is put together. */
export interface DriverRows extends SmRows {
  serve(host: Pick<Assembled, 'services' | 'store' | 'invoker'>): void;
}

/** Who drivers call back as. */
const driverUser = '__sm__backend';

/** What drivers of SMAPIv1 find in the database, read from the rows of this host. */
export const driverRows = (): DriverRows => {
  let on: Parameters<DriverRows['serve']>[0] | undefined;
  const srNamed = (uuid: string): Ref<'SR'> | undefined => on?.store.latest.byUuid('SR', uuid) as Ref<'SR'>;
  const vdiNamed = (sr: string, key: string): Ref<'VDI'> | undefined => {
    const ref = srNamed(sr);
    return ref === undefined || on === undefined ? undefined : diskAt(on.store.latest, ref, key);
  };
  return {
    serve: (host) => {
      on = host;
    },
    host: () => on?.services.host ?? nullRef,
    localCache: () => {
      const host = on?.store.latest.get('host', on.services.host);
      return host && on?.store.latest.get('SR', host.local_cache_sr)?.uuid;
    },
    sr: (uuid) => {
      const ref = srNamed(uuid);
      if (ref === undefined || on === undefined) return undefined;
      const { store, services } = on;
      const view = store.latest;
      const row = view.require('SR', ref);
      const pbd = row.PBDs.map((one) => view.get('PBD', one)).find((one) => one?.host === services.host);
      return {
        ref,
        isMaster: (hostOfSr(view, ref) ?? view.only('pool')[1].master) === services.host,
        ...(pbd !== undefined && { configuration: pbd.device_config }),
        features: featuresOf(view, row.type),
        stat: statOf(row),
      };
    },
    vdi: (sr, key) => {
      const ref = vdiNamed(sr, key);
      const row = ref && on?.store.latest.get('VDI', ref);
      return row === undefined || ref === undefined ? undefined : vdiOf(ref, row);
    },
    volumes: (sr) => {
      const ref = srNamed(sr);
      const view = on?.store.latest;
      if (ref === undefined || view === undefined) return [];
      return view.require('SR', ref).VDIs.map((one) => volumeOf(view.require('VDI', one)));
    },
    describe: async (sr, key, { name, description }) => {
      const ref = vdiNamed(sr, key);
      if (ref === undefined) return;
      await on?.invoker.decide('VDI', ref, (tx) =>
        tx.patch('VDI', ref, {
          ...(name !== undefined && { name_label: name }),
          ...(description !== undefined && { name_description: description }),
        }),
      );
    },
    lend: (sr) => {
      const driverOf = ((sr === undefined ? undefined : srNamed(sr)) ?? nullRef) as Ref<'SR'>;
      const sessions = on?.services.localSessions;
      const rights = { user: driverUser, role: '_local_root_', originator: 'SM', driverOf } as const;
      const session = sessions?.lend(rights) ?? nullRef;
      return { session, end: () => sessions?.end(session) };
    },
  };
};

const statOf = (row: RecordNamed<'SR'>): SrStat => ({
  name: row.name_label,
  description: row.name_description,
  freeBytes: row.physical_size - row.physical_utilisation,
  totalBytes: row.physical_size,
  clustered: row.clustered,
  health: 'Healthy',
});

const vdiOf = (ref: Ref<'VDI'>, row: RecordNamed<'VDI'>): SmVdi => ({
  ref,
  uuid: row.uuid,
  onBoot: row.on_boot,
  allowsCaching: row.allow_caching,
  volume: volumeOf(row),
});

const volumeOf = (row: RecordNamed<'VDI'>): Volume => ({
  key: row.location,
  uuid: row.uuid,
  name: row.name_label,
  description: row.name_description,
  readWrite: !row.read_only,
  sharable: row.sharable,
  virtualSizeBytes: row.virtual_size,
  physicalUtilisationBytes: row.physical_utilisation,
  keys: new Map([['vdi-type', row.type]]),
});

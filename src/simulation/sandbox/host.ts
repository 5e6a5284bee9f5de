import { PassThrough } from 'node:stream';
import { type RepositoryWatch, repositoryWatch } from '../../../actors/sr/watch.ts';
import { type LeakWatch, leakWatch } from '../../../actors/vm/leaks.ts';
import { vmReports } from '../../../actors/vm/reports.ts';
import { type Assembled, assemble, type Parts } from '../../assembly/assemble.ts';
import { startGuests } from '../../assembly/host.ts';
import { type Around, hostRows, refreshRows } from '../../assembly/prepare.ts';
import type { Network } from '../../drivers/network.ts';
import type { Ref } from '../../model/types.ts';
import type { Catalog } from '../../objects/catalog.ts';
import type { DiskOpener } from '../../objects/disk.ts';
import type { Services } from '../../objects/services.ts';
import type { Clock, Random } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import type { Store } from '../../store/store.ts';
import { type Life, lifeOf } from '../life.ts';
import type { SharedPlaces } from '../shared-places.ts';
import type { HostVolumes, Volumes } from '../volumes.ts';
import { type Guests, type GuestsPeer, simulatedGuests } from './guests.ts';
import type { SandboxHost } from './rows.ts';

/** What all hosts of a simulated pool have in common. */
export interface HostWorld {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly shared: SharedPlaces;
  readonly volumes: Volumes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly credentials: Services['credentials'];
  /** Where clients reach the pool, as in a URL. */
  readonly authority: () => string;
  readonly nbd?: NonNullable<Services['nbd']>;
  readonly version: string;
  /** Takes as long as an operation of a hypervisor or of storage takes. */
  readonly takeTime: (
    clock: Clock,
    signal: AbortSignal | undefined,
    progress?: (fraction: number) => void,
  ) => Promise<void>;
  readonly peer: (url: string) => GuestsPeer | undefined;
  readonly diskOn: DiskOpener;
}

/** A host that runs, from its boot to the loss of its power. */
export interface RunningHost extends Assembled {
  readonly life: Life;
  readonly guests: Guests & GuestsPeer;
  readonly storage: HostVolumes;
  readonly leaks: LeakWatch;
  readonly repositories: RepositoryWatch;
  /** Brings its rows in line with what is there, and follows its guests from then on. */
  begin(again: boolean): Promise<void>;
  /** Ends at once, with all its guests; nobody hears of it from here. */
  losePower(): void;
}

/** The URL of a host's hypervisor, for others of the same pool. */
export const urlOf = (host: Ref<'host'>): string => `sim:${host}`;

export const runningHost = (world: HostWorld, host: SandboxHost): RunningHost => {
  const { catalog, shared, log, random } = world;
  const life = lifeOf(host.name, world.clock);
  const store = storeOf(world.store, life);
  const takeTime: Taking = (signal, progress) => world.takeTime(life, signal, progress);
  const storage = world.volumes.of(host.name, ({ signal }) => takeTime(signal));
  const guests = simulatedGuests({
    ...{ name: host.name, clock: life, log, disks: storage, peer: world.peer },
    takeTime,
  });
  const places = shared.of(host.ref);
  const { address, facts } = host;
  const around: Around = { address, name: '', version: world.version };
  const given: Parts['services'] = {
    ...{ clock: life, random, log, hypervisor: guests, storage, credentials: world.credentials, store },
    host: host.ref,
    facts: async () => facts,
    authority: world.authority,
    ...(world.nbd && { nbd: world.nbd }),
    availability: () => (places.coordinator() === host.ref ? {} : { member: true }),
    diskOn: world.diskOn,
    network: { connect: guestConsole },
    migrationTo: async (other) => ({ url: urlOf(other), close: async () => {} }),
    // Its program is this one, so that only what is read at a start is read anew.
    restart: () => {
      refreshRows(around, services).catch((error: unknown) =>
        log.error({ error, host: host.name }, 'A host was not started again'),
      );
    },
  };
  const assembled = assemble({ catalog, places, services: given });
  const { objects, services, invoker } = assembled;
  const leaks = leakWatch(assembled);
  shared.enter(host.ref, { carry: invoker.carry, cancel: services.cancel });

  return {
    ...assembled,
    ...{ life, guests, storage, leaks, repositories: repositoryWatch(assembled) },
    begin: async (again) => {
      if (again) {
        await hostRows(around, { ...assembled, leads: () => false, derived: true, leaks });
        startGuests(assembled);
        return;
      }
      await attachAll(services);
      guests.watch(vmReports({ invoker, store, services, log }));
    },
    losePower: () => {
      shared.cutOff(host.ref);
      life.end();
      guests.losePower();
      storage.forget();
      objects.stop();
    },
  };
};

/** Where a guest says who it is. Consoles are no sockets, so there can be one for each of thousands. */
const guestConsole: Network['connect'] = async (to) => {
  const stream = new PassThrough();
  stream.write(`simulated guest ${'socketPath' in to ? to.socketPath.split('/').at(-1) : ''}\r\n`);
  return stream;
};

type Taking = (signal: AbortSignal | undefined, progress?: (fraction: number) => void) => Promise<void>;

/** The pool's store as one process has it: what it decides after its end is nobody's decision any more. */
const storeOf = (store: Store, life: Life): Store =>
  Object.create(store, {
    commit: {
      value: (make: Parameters<Store['commit']>[0]) =>
        life.state === 'ended' ? new Promise(() => {}) : store.commit(make),
    },
  }) as Store;

/** At the very first start the rows say already what is attached, and it is made so. */
const attachAll = async ({ store, storage, host }: Services): Promise<void> => {
  for (const [, pbd] of store.latest.all('PBD')) {
    if (pbd.host !== host || !pbd.currently_attached) continue;
    const sr = store.latest.require('SR', pbd.SR);
    await storage.attachSr(sr.type, sr.uuid, pbd.device_config, { debugInfo: 'start' });
  }
};

import { isMissing, type VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { HeldVolume } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import type { AlertName } from '../../src/rules/alerts.ts';
import { unattendedWork } from '../../src/rules/hypervisor-work.ts';
import { destroyLeftover, leftBy } from '../../src/rules/leftovers.ts';
import { leaveAlert } from '../../src/rules/messages.ts';
import { diskAt, foundKey, looksAfter } from '../../src/rules/storage-rows.ts';
import type { Store } from '../../src/store/store.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { live } from './reported.ts';

// What this host has and no row names, or no row needs. It is told by alerts and stays until somebody has
// it cleaned, since it may be all that is left of something.

/** One thing that is left, as people are told of it. */
export interface Leak {
  readonly kind: 'domain' | 'disk' | 'datapath';
  /** A sentence that says what it is. */
  readonly what: string;
  /** What `xenact leaks clean` does about it. Absent: only its owner knows. */
  readonly end?: () => Promise<void>;
  readonly about: Pick<RecordNamed<'message'>, 'cls' | 'obj_uuid'>;
}

export interface Leaking {
  readonly store: Store;
  readonly services: Services;
  readonly invoker: Pick<Invoker, 'call'>;
}

type Guests = readonly { readonly id: string; readonly state: VmState }[];

/** All that this host has leaked now. Rejects while the hypervisor's daemon is away. */
const leaksOf = async (by: Leaking): Promise<readonly Leak[]> => {
  const { hypervisor, storage } = by.services;
  const guests = await hypervisor.list();
  return [...domains(by, guests), ...disks(by), ...datapaths(by, guests, storage.held())];
};

const domains = ({ store, services }: Leaking, guests: Guests): readonly Leak[] =>
  guests
    .filter(({ id, state }) => live(state) && store.latest.byUuid('VM', id) === undefined)
    .map(({ id }) => ({
      kind: 'domain',
      what: `The guest ${id} runs here, and the pool has no VM of this uuid`,
      about: ofHost(store.latest, services.host),
      end: async () => {
        await services.hypervisor.shutdown(id, undefined, unattendedWork('leaked guest'));
        await services.hypervisor.remove(id).catch((error: unknown) => {
          if (!isMissing(error)) throw error;
        });
      },
    }));

const disks = (by: Leaking): readonly Leak[] => {
  const { latest: rows } = by.store;
  const { host } = by.services;
  const left = leftBy(rows, host).flatMap((ref): Leak[] => {
    const row = rows.get('VDI', ref);
    const what = `Disk ${row?.uuid} is left from work that did not end, and could not be destroyed`;
    return row === undefined
      ? []
      : [{ kind: 'disk', what, about: ofDisk(row), end: () => destroyLeftover(by, ref) }];
  });
  const found = [...rows.all('SR')].flatMap(([sr, { VDIs }]) =>
    looksAfter(rows, sr, host) ? VDIs.flatMap((ref) => foundAt(rows.get('VDI', ref))) : [],
  );
  return [...left, ...found];
};

/** Once something has it, it is as good as any. */
const foundAt = (row: RecordNamed<'VDI'> | undefined): readonly Leak[] => {
  if (row === undefined || !row.other_config.has(foundKey) || row.VBDs.length > 0) return [];
  const what =
    `Disk ${row.uuid} was on its repository at a start of this host and in no row, as work leaves it ` +
    `that is cut off. Use it and remove ${foundKey} from its other_config, or destroy it with VDI.destroy`;
  return [{ kind: 'disk', what, about: ofDisk(row) }];
};

const domidIn = /^vbd\/(\d+)\//;

const datapaths = (by: Leaking, guests: Guests, held: readonly HeldVolume[]): readonly Leak[] => {
  const { latest: rows } = by.store;
  const { host, storage } = by.services;
  const domids = new Set(guests.flatMap(({ state }) => state.domids.map(String)));
  const isLeaked = (one: HeldVolume): boolean =>
    one.leaked || (!domids.has(domidIn.exec(one.datapath)?.[1] ?? '') && !isNeeded(rows, host, one));
  return held.filter(isLeaked).map((one) => ({
    kind: 'datapath',
    what: `Disk ${one.key} of repository ${one.sr} is attached here as ${one.datapath}, and nobody has it`,
    about: ofHost(rows, host),
    end: () => storage.letGo(one, { debugInfo: 'leaked datapath' }),
  }));
};

/** Whether somebody here has the disk by its rows, or something is done with it just now. */
const isNeeded = (rows: View, host: Ref<'host'>, { sr, key }: HeldVolume): boolean => {
  const repository = rows.byUuid('SR', sr);
  const ref = repository === undefined ? undefined : diskAt(rows, repository, key);
  const vdi = ref === undefined ? undefined : rows.get('VDI', ref);
  if (ref === undefined || vdi === undefined) return false;
  if (vdi.current_operations.size > 0) return true;
  const sleepers = [...rows.all('VM')].filter(([, { suspend_VDI }]) => suspend_VDI === ref);
  if (sleepers.some(([, { current_operations }]) => current_operations.size > 0)) return true;
  return vdi.VBDs.some((one) => {
    const vbd = rows.get('VBD', one);
    const vm = vbd === undefined ? undefined : rows.get('VM', vbd.VM);
    if (vbd === undefined || vm === undefined) return false;
    if (vm.current_operations.size > 0 || vbd.current_operations.size > 0) return true;
    const isHere = vm.resident_on === host || vm.scheduled_to_be_resident_on === host;
    return isHere && (vbd.currently_attached || vbd.reserved);
  });
};

const ofHost = (rows: View, host: Ref<'host'>): Leak['about'] => ({
  cls: 'Host',
  obj_uuid: rows.get('host', host)?.uuid ?? '',
});
const ofDisk = ({ uuid }: RecordNamed<'VDI'>): Leak['about'] => ({ cls: 'VDI', obj_uuid: uuid });

const names = {
  domain: 'LEAKED_DOMAIN',
  disk: 'LEAKED_DISK',
  datapath: 'LEAKED_DATAPATH',
} as const satisfies Record<Leak['kind'], AlertName>;

/** Leaks of each kind that are told of; `xenact leaks` lists all. */
const toldMax = 16;

const alertOf = ({ kind, what, about }: Leak) => ({
  name: names[kind],
  ...about,
  body: `${what}. xenact leaks, at the machine, lists what is left there.`,
});
type MessagesByLeak = ReadonlyMap<string, Ref<'message'>>;
type Alert = ReturnType<typeof alertOf>;

const keyOf = ({
  name,
  obj_uuid,
  body,
}: Pick<RecordNamed<'message'>, 'name' | 'obj_uuid' | 'body'>): string => [name, obj_uuid, body].join(' ');

export interface LeakWatch {
  /** At a start, or once the daemon is back: whatever is left is left. */
  afterwards(): Promise<void>;
  /** From time to time: what is seen twice was not just on its way. */
  look(): Promise<void>;
  list(): Promise<readonly Leak[]>;
  clean(): Promise<readonly CleanedLeak[]>;
}

/**
 * Tells people of what is left, once, and takes it back when it is gone. What somebody has dismissed is not
 * told again before the next start.
 */
export const leakWatch = (by: Leaking): LeakWatch => {
  const { store, services } = by;
  let told: MessagesByLeak = new Map();
  let seen: ReadonlySet<string> = new Set();

  const tell = (tx: Tx, wanted: ReadonlyMap<string, Alert>): MessagesByLeak => {
    for (const [key, ref] of told) {
      if (!wanted.has(key) && tx.get('message', ref) !== undefined) tx.delete('message', ref);
    }
    const there = new Map([...tx.all('message')].map(([ref, message]) => [keyOf(message), ref] as const));
    return new Map(
      [...wanted].map(([key, alert]) => [
        key,
        told.get(key) ?? there.get(key) ?? leaveAlert(tx, services, alert),
      ]),
    );
  };

  const pass = async (atOnce: boolean): Promise<void> => {
    const counts = new Map<Leak['kind'], number>();
    const wanted = new Map<string, Alert>();
    const now = new Set<string>();
    for (const leak of await leaksOf(by)) {
      const alert = alertOf(leak);
      const key = keyOf(alert);
      now.add(key);
      const count = counts.get(leak.kind) ?? 0;
      if (count >= toldMax || !(atOnce || seen.has(key))) continue;
      counts.set(leak.kind, count + 1);
      wanted.set(key, alert);
    }
    seen = now;
    const isTold = wanted.size === told.size && [...wanted.keys()].every((key) => told.has(key));
    if (isTold) return;
    let next = told;
    await store.commit((tx) => {
      next = tell(tx, wanted);
    });
    told = next;
  };

  return {
    afterwards: async () => {
      await endLeaked(by);
      await pass(true);
    },
    look: () =>
      pass(false).catch((error: unknown) => {
        services.log.debug({ error }, 'What this host has leaked could not be looked for');
      }),
    list: () => leaksOf(by),
    clean: async () => {
      const cleaned = await cleanLeaks(by);
      await pass(true);
      return cleaned;
    },
  };
};

/** What could not be ended when it was to be, and what this host itself had open as it was killed. */
const endLeaked = async ({ services: { storage, log } }: Leaking): Promise<void> => {
  for (const one of storage.held().filter(({ leaked }) => leaked)) {
    await storage.letGo(one, { debugInfo: 'leaked datapath' }).catch((error: unknown) => {
      log.warn({ ...one, error }, 'A datapath is left and could not be ended');
    });
  }
};

/** What became of each leak; without `left` it has ended. */
export interface CleanedLeak extends Pick<Leak, 'kind' | 'what'> {
  /** Why it is still there. */
  readonly left?: string;
}

/** Ends all that can be ended without harm to what is somebody's. */
const cleanLeaks = async (by: Leaking): Promise<readonly CleanedLeak[]> => {
  const before = await leaksOf(by);
  const reasons = new Map<string, string>();
  for (const { what, end } of before) {
    if (end === undefined) reasons.set(what, 'not touched, as only its owner knows');
    else await end().catch((error: unknown) => reasons.set(what, String(error)));
  }
  const after = new Set((await leaksOf(by)).map(({ what }) => what));
  return before.map(({ kind, what }) =>
    after.has(what) ? { kind, what, left: reasons.get(what) ?? 'see the log of this host' } : { kind, what },
  );
};

import type { Mesh } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Clock, Random } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import type { Replica } from '../store/replica.ts';
import type { Store } from '../store/store.ts';
import type { PeerRecord } from './rows.ts';
import type { PeerAddress, StateFile } from './state.ts';

/** What every file of this room needs to know of the host. */
export interface PoolContext {
  readonly store: Store;
  /** The same rows as the pool's log knows them. */
  readonly replica: Replica;
  readonly mesh: Mesh;
  readonly state: StateFile;
  readonly host: Ref<'host'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: PoolLimits;
  /** There is a link with the host now. */
  readonly isUp: (host: Ref<'host'>) => boolean;
}

/** Which hosts are linked, kept so that it costs nothing to ask. */
export const linkedHosts = (mesh: Mesh): ((host: Ref<'host'>) => boolean) => {
  const up = new Set<string>();
  mesh.onPeer(({ host, state }) => {
    if (state === 'up') up.add(host);
    else up.delete(host);
  });
  return (host) => up.has(host);
};

/** Time limits and sizes. */
export interface PoolLimits {
  /** A host of which nothing is heard for this long is said not to be live. */
  readonly deadMs: number;
  /** A member without its coordinator looks for another this often. */
  readonly seekMs: number;
  /** After this long without a coordinator, a member tells clients that it has none. */
  readonly emergencyMs: number;
  /** Other hosts must say within this time who leads. */
  readonly answerMsMax: number;
  /** A piece of the log must be taken within this time. */
  readonly applyMsMax: number;
  /** A change of a member waits this long for a coordinator. */
  readonly proposalMsMax: number;
  /** A coordinator that hands over must have written its commits to disk within this time. */
  readonly pauseMsMax: number;
  /** Members that are linked have this long to follow a new coordinator. */
  readonly recoverMsMax: number;
  /** Work that was given to a host that went away is given up when it is not back by then. */
  readonly returnMsMax: number;
  /** Groups of commits that wait for one member; one that is further behind asks for what it lacks. */
  readonly batchesWaitingMax: number;
  readonly hostsMax: number;
}

export const poolLimits: PoolLimits = {
  deadMs: 10_000,
  seekMs: 250,
  emergencyMs: 3_000,
  answerMsMax: 3_000,
  applyMsMax: 30_000,
  proposalMsMax: 3_600_000,
  pauseMsMax: 1_000,
  recoverMsMax: 5_000,
  returnMsMax: 10_000,
  batchesWaitingMax: 1_024,
  hostsMax: 64,
};

/** All hosts of the pool, this one among them. */
export const hostsOf = ({ store }: Pick<PoolContext, 'store'>): readonly Ref<'host'>[] =>
  [...store.committed.all('host')].map(([host]) => host);

/** A host as people tell it from others: many have the same name. */
export const calledOf = ({ name, address }: { readonly name: string; readonly address: string }): string =>
  `${name} (${address})`;

export const nameOfHost = (context: Pick<PoolContext, 'store'>, host: Ref<'host'>): string => {
  const row = context.store.committed.get('host', host);
  const address = peerOf(context, host)?.address || row?.address;
  return row === undefined || !address ? host : calledOf({ name: row.name_label, address });
};

/** How a host is reached, as its row says. */
export const addressOfPeer = ({ host, address, port, pins }: PeerRecord): PeerAddress => ({
  ...{ host, address, pins },
  port: Number(port),
});

/** A host's row among the peers is under the host's own reference. */
export const peerRef = (host: Ref<'host'>): Ref<'xenact_peer'> => host as Ref as Ref<'xenact_peer'>;

export const peerOf = ({ store }: Pick<PoolContext, 'store'>, host: Ref<'host'>): PeerRecord | undefined =>
  store.committed.get('xenact_peer', peerRef(host));

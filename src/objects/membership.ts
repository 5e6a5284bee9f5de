import type { Ref } from '../model/types.ts';

/** What a host can do about its place in a pool. Rejects with faults of the XenAPI. */
export interface Membership {
  /** Gives this host, the only one of its pool, into the pool that is reached at `address`. */
  join(target: JoinTarget): Promise<void>;
  /** Takes a host out of the pool; it starts again as a pool of its own, without what it had. */
  eject(host: Ref<'host'>): Promise<void>;
  /** Makes another host the coordinator while this one still is. */
  designate(host: Ref<'host'>): Promise<void>;
  /** Makes this host the coordinator when the old one is gone. */
  takeOver(): Promise<void>;
  /** Tells this host where its coordinator is now. */
  lookFor(address: string): Promise<void>;
  /** Asks all other hosts to follow this one, and answers those that do. */
  recover(): Promise<readonly Ref<'host'>[]>;
  /** Goes on without the consent of a host that is dead for sure. */
  setAside(host: Ref<'host'>): void;
  /** Gives every host a new certificate for the mesh; the old one is trusted until all have the new. */
  rotate(): Promise<void>;
  /** Tells all hosts of new passwords. */
  shareCredentials(): Promise<void>;
  /** Takes in a host by what it has sent, and answers what it is sent back; that may be a fault of `read`. */
  takeIn(read: () => Promise<Uint8Array>): Promise<Uint8Array>;
  /** True while the host is linked with this one, or is this one. */
  isReachable(host: Ref<'host'>): boolean;
}

/** Where a host that joins hands over what it has, by HTTP. */
export const joinPath = '/pool/join';

export interface JoinTarget {
  /** `host` or `host:port` of its HTTPS. */
  readonly address: string;
  readonly user: string;
  readonly password: string;
  /** Join although processors differ. */
  readonly force: boolean;
}

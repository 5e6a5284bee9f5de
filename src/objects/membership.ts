import type { Ref } from '../model/types.ts';

/** What a host can do about its place in a pool. Rejects with faults of the XenAPI. */
export interface Membership {
  /** Joins this host, the only one of its pool, to the pool that is reached at `address`. */
  join(target: JoinTarget): Promise<void>;
  /** Takes a host out of the pool; it starts again as a pool of its own, without what it had. */
  eject(host: Ref<'host'>): Promise<void>;
  /** Makes another host the coordinator while this one still is. */
  designate(host: Ref<'host'>): Promise<void>;
  /**
   * Makes this host the coordinator when the old one is gone. `force`: also where changes may be missing
   * here.
   */
  takeOver(force: boolean): Promise<void>;
  /** Tells this host where its coordinator is now. */
  lookFor(address: string): Promise<void>;
  /** Asks all other hosts to follow this one, and answers those that do. */
  recover(): Promise<readonly Ref<'host'>[]>;
  /** A host is dead for sure: nobody waits for its word. */
  setAside(host: Ref<'host'>): Promise<void>;
  /** Gives every host a new certificate for the mesh; the old one is trusted until all have the new. */
  rotate(): Promise<void>;
  /** Tells all hosts of new passwords. */
  shareCredentials(): Promise<void>;
  /** True while the host is linked with this one, or is this one. */
  isReachable(host: Ref<'host'>): boolean;
}

/** The coordinator's side of joining, as hosts reach it by HTTP. What it answers may be a fault. */
export interface TakingIn {
  /** A host that knows a password begins to prove it. Whether there is such a user is not told. */
  hello(said: Uint8Array): Promise<Uint8Array>;
  /** Its proof, which is answered with the coordinator's and an invitation. `address` is the host's. */
  prove(said: Uint8Array, address: string): Promise<Uint8Array>;
  /** Takes in a host that has an invitation, by what it has sent. */
  takeIn(invitation: string, read: () => Promise<Uint8Array>): Promise<Uint8Array>;
  /** An invitation for an administrator to hand on, with the certificate to know the coordinator by. */
  token(): string;
}

export const joinPaths = {
  hello: '/pool/join/hello',
  prove: '/pool/join/proof',
  takeIn: '/pool/join',
  token: '/pool/join-token',
} as const;

export interface JoinTarget {
  /**
   * `host` or `host:port` of its HTTPS, and after a `#` the SHA-256 of its certificate where that is known.
   */
  readonly address: string;
  readonly user: string;
  /** Or a token, which needs no user. */
  readonly password: string;
  /** Join although processors differ. */
  readonly force: boolean;
}

import type { MemberStatus } from './etcd.ts';

/**
 * What looks after a cluster of etcd: its members, their alarms and their files. Rejects with `EtcdFailure`.
 */
export interface EtcdCluster {
  members(): Promise<MemberList>;
  /** A learner takes the log and has no vote. */
  addLearner(peerUrl: string): Promise<EtcdMember>;
  /** Refused until it has caught up. */
  promote(member: bigint): Promise<void>;
  remove(member: bigint): Promise<void>;
  alarms(): Promise<readonly EtcdAlarm[]>;
  /** The member counts as sound from now on. */
  disarm(alarm: EtcdAlarm): Promise<void>;
  /** What one member says of itself, by its `host:port`. */
  status(endpoint: string): Promise<MemberStatus>;
  /** Gives back the room that history took; the member answers nobody meanwhile. */
  defragment(endpoint: string): Promise<void>;
  /** The member's database as a file, in pieces. */
  snapshot(endpoint: string, take: (piece: Uint8Array) => Promise<void>): Promise<void>;
  close(): void;
}

export interface EtcdMember {
  readonly id: bigint;
  /** '' until it has been started once. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

export interface MemberList {
  readonly clusterId: bigint;
  readonly members: readonly EtcdMember[];
}

export interface EtcdAlarm {
  readonly member: bigint;
  readonly kind: 'NOSPACE' | 'CORRUPT' | 'other';
}

import type { EtcdCluster } from '../drivers/etcd-cluster.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Random } from '../std/clock.ts';
import type { MemberContext, MemberLimits, MemberProcess } from './member.ts';
import type { TlsFiles } from './settings.ts';

/** What looking after the pool's cluster stands on. */
export interface EngineContext extends MemberContext {
  readonly random: Random;
  readonly mesh: Pick<Mesh, 'call' | 'serve'>;
  readonly host: Ref<'host'>;
  readonly process: MemberProcess;
  readonly pool: PoolView;
  readonly certify: Certify;
  /** Connects to a cluster; endpoints are `host:port`. */
  readonly connect: (endpoints: readonly string[], credentials: TlsFiles) => EtcdCluster;
  readonly clusterLog: ClusterLog;
  /** Ends this program in order, once its answers are out, and has it started again. Guests go on. */
  readonly restart: () => void;
  readonly limits: EngineLimits;
}

/** The log in the cluster, as far as moving away from it needs. */
export interface ClusterLog {
  /** Ends it, under this host's token. Rejects when this host does not lead with it. */
  end(): Promise<void>;
  /** It was ended, or never began. */
  isEnded(): Promise<boolean>;
}

/** The pool as the engine needs it. */
export interface PoolView {
  uuid(): string;
  /** All hosts, this one among them. */
  hosts(): readonly EngineHost[];
  isUp(host: Ref<'host'>): boolean;
  leads(): boolean;
  /** It follows a leader, and has all that it has. */
  follows(): boolean;
  /** The coordinator that this host followed last, or whom it joined. */
  lastLeader(): Ref<'host'> | undefined;
  /** Throws HOST_IS_SLAVE unless this host coordinates the pool. */
  assertLeads(): void;
  /** Throws unless that host is the one that this host follows. */
  assertLeader(host: string): void;
  /** Raises an alert that people see. */
  alert(name: string, body: string): void;
}

export interface EngineHost {
  readonly ref: Ref<'host'>;
  readonly name: string;
  /** Where the other hosts reach it. */
  readonly address: string;
}

export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

/** Makes certificates that the members and clients of one cluster trust. */
export interface Certify {
  authority(name: string): Promise<KeyPair>;
  sign(authority: KeyPair, commonName: string, address: string): Promise<KeyPair>;
}

export interface EngineLimits extends MemberLimits {
  /** A host says how things are, or takes an order. */
  readonly askMsMax: number;
  /** Members that were started have found each other by then. */
  readonly formMsMax: number;
  /** A new member has caught up by then. */
  readonly catchUpMsMax: number;
  readonly pollMs: number;
  readonly tendMs: number;
  /** Whoever takes part in a move to another engine looks this often how far it is. */
  readonly moveMs: number;
  readonly snapshotMs: number;
  readonly snapshotsMax: number;
}

import type { RepositoryWatch } from '../../actors/sr/watch.ts';
import type { LeakWatch } from '../../actors/vm/leaks.ts';
import type { Disk } from '../drivers/disk.ts';
import type { GuestKernels } from '../drivers/guest-kernels.ts';
import type { HostFiles } from '../drivers/host-files.ts';
import type { HostPlugins } from '../drivers/host-plugins.ts';
import type { Hypervisor } from '../drivers/hypervisor/hypervisor.ts';
import type { MeshAddress, MeshCertificate, MeshNetwork } from '../drivers/mesh-wire.ts';
import type { Network } from '../drivers/network.ts';
import type { OtherPools } from '../drivers/other-pools.ts';
import type { PoolDoor } from '../drivers/pool-door.ts';
import type { Processes } from '../drivers/processes.ts';
import type { Storage } from '../drivers/storage/storage.ts';
import type { Web } from '../drivers/web.ts';
import type { DivergedFiles } from '../log/diverged.ts';
import type { Mesh, MeshOptions } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Credentials } from '../objects/credentials.ts';
import type { HostFacts } from '../objects/host-facts.ts';
import type { Membership, TakingIn } from '../objects/membership.ts';
import type { NextDatabase } from '../objects/replacing.ts';
import type { Space } from '../objects/room.ts';
import type { NbdServer } from '../objects/services.ts';
import type { PoolContext, PoolLimits } from '../pool/context.ts';
import type { Inspector } from '../pool/inspection.ts';
import type { SharedCredentials } from '../pool/membership.ts';
import type { Pool } from '../pool/pool.ts';
import type { StateFile } from '../pool/state.ts';
import type { TunnelOptions } from '../pool/tunnel.ts';
import type { Clock, Random } from '../std/clock.ts';
import type { Log as Logger } from '../std/log.ts';
import type { Durable } from '../store/durable.ts';
import type { Log } from '../store/log.ts';
import type { OpenedStore, StoreOptions } from '../store/store.ts';
import type { Assembled, Parts } from './assemble.ts';

/**
 * What a host of a pool is put together of: all that differs between a machine and a simulated one, and
 * nothing else. What is opened already is closed by whoever gives it.
 */
export interface HostParts<D extends Doors = Doors> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly network: Network;
  readonly catalog: Catalog;
  /** Of Xenact itself. */
  readonly version: string;
  /** Name of the pool, at its first start. */
  readonly poolName: string;
  /** Where other hosts and clients reach this one, without a port. */
  readonly address: string;
  /** The port of its HTTPS as far as it is known; 0: the doors say it. */
  readonly httpsPort: number;
  readonly state: StateFile;
  /** The hypervisor daemon of this host obeys no epoch below this one. */
  readonly epochMin: number;
  readonly database: DatabaseParts;
  /** Of the disk of the data folder. Absent: there is always room. */
  readonly space?: () => Promise<Space>;
  /** Where it is kept what this host had answered and its pool lacks. */
  readonly diverged: DivergedFiles;
  readonly mesh: MeshParts;
  /** How the hypervisor daemons of two hosts reach each other. */
  readonly tunnel: Omit<TunnelOptions, 'network'>;
  readonly hypervisor: Hypervisor;
  /** Starts the hypervisor's daemon where it is one of ours. */
  readonly revive?: () => Promise<void>;
  readonly storage: Storage;
  /** Where a pool that has no storage yet makes its own. Absent: it makes none. */
  readonly storageFolders?: StorageFolders;
  /** Looks again whenever a storage plugin came, changed or went. Absent: they stay as they are. */
  readonly watchPlugins?: (look: () => Promise<unknown>) => { close(): Promise<void> };
  readonly processes?: Pick<Processes, 'pipe'>;
  readonly guestKernels?: GuestKernels;
  readonly hostPlugins?: HostPlugins;
  readonly files?: HostFiles;
  readonly credentials: HostCredentials;
  readonly facts: () => Promise<HostFacts>;
  /** SHA-256 of the certificate that clients of HTTPS see. */
  readonly fingerprint: string;
  /** The HTTPS of other hosts, for joining. */
  readonly poolDoor: (httpsPort: () => number) => PoolDoor;
  /** Absent: no other pool is reached. */
  readonly otherPools?: OtherPools;
  /** Absent: no files are asked for by URL. */
  readonly web?: Web;
  readonly pool: PoolParts;
  /** Lets clients in. Called once there is something to serve; what it opens refuses until told. */
  readonly doors: (host: Host) => Promise<D>;
  /** Ends this program in order, and has it started again. */
  readonly restart: () => void;
  readonly told?: HostEvents;
  /** How long an operation waits for others. */
  readonly waitMs?: number;
  /** What makes the parts that are made here: for simulations that put a fault into one of them. */
  readonly makers?: Partial<Makers>;
}

export interface DatabaseParts {
  /** Opens it. */
  durable(): Durable;
  /** Has the next start begin with another. Rejects where that would not be the pool's. */
  keepNext?(next: NextDatabase): Promise<void>;
  /** Removes what there is of a pool that this host was put out of. Before it is opened. */
  forget(): Promise<void>;
}

export interface MeshParts {
  readonly network: MeshNetwork;
  readonly listen: MeshAddress;
  readonly own: OwnCertificate;
  /** Makes another certificate, which is kept from `keep` on. */
  next(): Promise<OwnCertificate & { keep(): Promise<void> }>;
}

/** What this host shows to the others, and the SHA-256 that they know it by. */
export interface OwnCertificate {
  readonly certificate: MeshCertificate;
  readonly pin: string;
}

export interface PoolParts {
  /** Members that must have a commit on disk before it is answered, where as many are there. */
  readonly replicas: number;
  /** A member serves clients as the coordinator does. */
  readonly serves: boolean;
  /** Makes the engine of the pool's log. Absent: the coordinator's disk is the log. */
  readonly engine?: (context: PoolContext, alert: (name: string, text: string) => void) => Log;
  /** Why a host at that address must not be put out of the pool for now; undefined: it may. */
  readonly mustStay?: (address: string) => string | undefined;
  readonly limits?: Partial<PoolLimits>;
}

export interface StorageFolders {
  readonly disk: Disk;
  readonly disks: string;
  readonly images: string;
}

export interface HostCredentials extends Credentials, Omit<SharedCredentials, 'adopt'> {
  /** Answers who had another password here. */
  adopt(exported: string): Promise<readonly string[]>;
}

/** Where clients come in. */
export interface Doors {
  readonly httpsPort: number;
  /** Absent: disks are not served so. */
  readonly nbd?: NbdServer;
  /** Lets clients in. Until then they are told that the host is starting. */
  open(): void;
  close(): Promise<void>;
}

export interface HostEvents {
  /** This host leads, and its rows are in line with the world. Rejecting has it tried again. */
  leads?(host: Assembled): Promise<void>;
  /** It is a member and has found no coordinator yet. */
  waits?(): void;
}

export interface Makers {
  store(options: StoreOptions): OpenedStore;
  mesh(options: MeshOptions): Mesh;
  commits(made: Log): Log;
  objects(parts: Parts): Assembled;
}

/** A host that was put together. */
export interface Host extends Assembled {
  /** Its place among the others: links, rows and what is known of it beside them. */
  readonly context: PoolContext;
  readonly pool: Pool;
  readonly membership: Membership;
  readonly takingIn: TakingIn;
  readonly inspector: Inspector;
  readonly leaks: LeakWatch;
  readonly repositories: RepositoryWatch;
  /** Where the HTTPS of a host is reached, as in a URL. */
  authorityOf(host: Ref<'host'>): string;
}

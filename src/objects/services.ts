import type { GuestKernels } from '../drivers/guest-kernels.ts';
import type { HostFiles } from '../drivers/host-files.ts';
import type { HostPlugins } from '../drivers/host-plugins.ts';
import type { Hypervisor } from '../drivers/hypervisor/hypervisor.ts';
import type { Network } from '../drivers/network.ts';
import type { OtherPools } from '../drivers/other-pools.ts';
import type { Processes } from '../drivers/processes.ts';
import type { Storage } from '../drivers/storage/storage.ts';
import type { Web } from '../drivers/web.ts';
import type { Ref } from '../model/types.ts';
import type { Clock, Random } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import type { Store } from '../store/store.ts';
import type { Availability } from './availability.ts';
import type { CallerUsage } from './caller-usage.ts';
import type { Credentials } from './credentials.ts';
import type { DiskOpener } from './disk.ts';
import type { HostFacts } from './host-facts.ts';
import type { LocalSessions } from './local-sessions.ts';
import type { Membership } from './membership.ts';
import type { NextDatabase, ReplacingDatabase } from './replacing.ts';
import type { DataRoom } from './room.ts';

export interface WayToDaemon {
  readonly url: string;
  close(): Promise<void>;
}

/** Where disks are served over NBD. */
export interface NbdServer {
  readonly port: number;
  /** PEM: the certificate that is shown there, and the name that it is for. */
  readonly cert: string;
  readonly subject: string;
}

/** What the domain may use of the outside world, on this host. */
export interface Services {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hypervisor: Hypervisor;
  readonly storage: Storage;
  /** Sockets of this machine. */
  readonly network: Pick<Network, 'connect'>;
  /** Programs of this host that bytes go through. Absent: there are none. */
  readonly processes?: Pick<Processes, 'pipe'>;
  /** What guests may boot directly. Absent: nothing. */
  readonly guestKernels?: GuestKernels;
  /** Executables of the host that clients call by name. Absent: there are none. */
  readonly hostPlugins?: HostPlugins;
  /** What this host keeps beside rows. Absent: nothing. */
  readonly files?: HostFiles;
  readonly credentials: Credentials;
  /** On the disk of the data folder. Absent: there is always some. */
  readonly room?: DataRoom;
  readonly callerUsage: CallerUsage;
  /** Logins to this host alone. */
  readonly localSessions: LocalSessions;
  readonly store: Store;
  /** This host's row. */
  readonly host: Ref<'host'>;
  /** What the machine is at this moment. */
  readonly facts: () => Promise<HostFacts>;
  /**
   * Where this host's HTTPS is reached, as in a URL: `10.0.0.5`, or `127.0.0.1:8443` with a port of its own.
   */
  readonly authority: () => string;
  /** SHA-256 of the certificate that HTTPS shows, in hexadecimal digits. Absent: nobody is told. */
  readonly fingerprint?: string;
  /** For what moves to another pool. Absent: none is reached. */
  readonly otherPools?: OtherPools;
  /** For files that are asked for by URL. Absent: none is reached. */
  readonly web?: Web;
  /** Undefined until it listens. Absent: this host serves no disks so. */
  readonly nbd?: () => NbdServer | undefined;
  /** Whether this host can serve clients at this moment. */
  readonly availability: () => Availability;
  /** Told of each change of that, until the returned function is called. Absent: it never changes. */
  readonly onAvailability?: (told: () => void) => () => void;
  /** What this host can do about its place in the pool. Absent: it cannot be in a pool with others. */
  readonly membership?: Membership;
  /**
   * A way for this host's hypervisor daemon to that of another, to be closed after use. Absent: this host is
   * alone.
   */
  readonly migrationTo?: (host: Ref<'host'>, signal: AbortSignal) => Promise<WayToDaemon>;
  /** Opens disks that only other hosts reach. Absent: this host is alone. */
  readonly diskOn?: DiskOpener;
  /** Cancels the work, running or waiting, that reports to a task. False when there is none. */
  readonly cancel: (task: Ref<'task'>) => boolean;
  /** Looks at a database that is to take the place of the pool's. */
  readonly replacing: ReplacingDatabase;
  /** Has the next start begin with a database. Absent: nothing of this host is there after its end. */
  readonly keepNext?: (next: NextDatabase) => Promise<void>;
  /** Stops this process in an orderly way and, where it is supervised, has it started again. */
  readonly restart: () => void;
}

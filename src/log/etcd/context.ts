import type { Etcd } from '../../drivers/etcd.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log as Journal } from '../../std/log.ts';
import type { Replica } from '../../store/replica.ts';
import type { LogLayout } from './layout.ts';
import type { EtcdLogLimits } from './limits.ts';
import type { Coordinator } from './records.ts';

/** What the parts of the engine have in common. */
export interface EtcdContext {
  readonly etcd: Etcd;
  readonly layout: LogLayout;
  readonly replica: Replica;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly limits: EtcdLogLimits;
  readonly self: Coordinator;
  /** Where in the log the replica is, as this process knows. */
  readonly place: LogPlace;
  readonly checks: Checks;
  /** Told when the rows of this host were found not to be those of its pool. */
  readonly differed: (generation: number) => void;
}

/**
 * The replica is in line with the log up to `generation`, which is of `revision`; undefined: it must be read
 * anew.
 */
export interface LogPlace {
  at: { readonly revision: number; readonly generation: number } | undefined;
}

/** Digests of all rows, which are the same on every host at the same generation. */
export interface Checks {
  /** The next group asks every host for one. */
  due: boolean;
  /** What this host has of the generation that was asked for last. */
  own: { readonly generation: number; readonly digest: Promise<string> } | undefined;
  /** How the last comparison came out. */
  last: { readonly generation: number; readonly same: boolean } | undefined;
}

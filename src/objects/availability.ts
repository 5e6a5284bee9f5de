import type { Fault } from '../std/fault.ts';

/**
 * Whether this host can serve clients, and where they are to go else. The only host of a pool has nothing to
 * say.
 */
export interface Availability {
  /** Another host decides, or should. */
  readonly member?: true;
  /**
   * The host cannot do its part, and this is why: it answers every call with it but those for emergencies.
   */
  readonly emergency?: Fault;
  /** Where the coordinator is, when this host is not it: clients are sent there. */
  readonly coordinator?: string;
  /** It serves clients also as a member, whenever it can. */
  readonly serves?: true;
}

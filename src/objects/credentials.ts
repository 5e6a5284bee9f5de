/**
 * Local users of this host: who may log in with which password. Kept in the data folder, never in the pool
 * database.
 */
export interface Credentials {
  /**
   * How soon it says no depends on what was asked before, so whoever tells a stranger does so at a time of
   * its own. `address` is the client's, whose guesses must not keep those of others waiting; absent: this
   * host's own. Throws TOO_MANY_PENDING_TASKS.
   */
  verify(user: string, password: string, address?: string): Promise<boolean>;
  setPassword(user: string, password: string): Promise<void>;
}

/** Local users of this host: who may log in with which password. Kept in the data folder, never in the pool database. */
export interface Credentials {
  /** Takes about the same time whether or not the user exists. */
  verify(user: string, password: string): Promise<boolean>;
  setPassword(user: string, password: string): Promise<void>;
}

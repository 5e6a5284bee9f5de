/** How a host that joins knocks at the coordinator of a pool, of which it knows only where it is. */
export interface PoolDoor {
  /**
   * Posts over HTTPS to `host` or `host:port`, with user and password. Nobody vouches for the other side's
   * certificate yet. Rejects when it cannot be reached.
   */
  post(
    address: string,
    path: string,
    body: Uint8Array,
    options: { readonly user: string; readonly password: string; readonly timeoutMs: number },
  ): Promise<{ readonly status: number; readonly body: Uint8Array }>;
}

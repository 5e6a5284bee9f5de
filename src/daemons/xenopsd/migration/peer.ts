// The other daemon, as the source of a migration speaks with it: one socket, on which whatever carries
// bytes may stand between the two.
import type { Duplex } from 'node:stream';
import type { Network } from '../../../drivers/network.ts';
import { xmlRpc } from '../../../rpc/rpc.ts';
import { lost, xenopsCall } from '../../../rpc/xenops/call.ts';
import { stringOf } from '../../../std/reader.ts';
import type { Value } from '../../../std/value.ts';

/** Whose the guest is now, for good. */
export type MigrationOutcome = 'committed' | 'abandoned';

/** Rejects with `XenopsError`: `Failed_to_contact_remote_service` when the other daemon cannot be asked. */
export interface MigrationPeer {
  /** Answers the token that the migration is known by. */
  begin(vm: string, debugInfo: string): Promise<string>;
  importMetadata(metadata: string, debugInfo: string): Promise<void>;
  openMemory(vm: string, token: string): Promise<Duplex>;
  /** Hands the guest over. A rejection leaves open what became of it: `abandon` tells. */
  commit(vm: string, token: string, debugInfo: string): Promise<MigrationOutcome>;
  /** Takes the guest back, unless it was handed over. */
  abandon(vm: string, token: string, debugInfo: string): Promise<MigrationOutcome>;
  /** Nobody will ask about this migration again. */
  forget(vm: string, token: string, debugInfo: string): Promise<void>;
}

/** Storage at the destination may have disks to wake. */
const COMMIT_MS_MAX = 6 * 60_000;
const CALL_MS_MAX = 30_000;
const URL = /^http\+unix:\/\/([^/?#]+)(\/[^?#]*)?$/;

/** `http+unix://<socket path, percent-encoded>/<path>`. */
const placeOf = (url: string): { readonly socketPath: string; readonly path: string } => {
  const [, host = '', path = '/'] = URL.exec(url) ?? [];
  const socketPath = decoded(host);
  if (socketPath?.startsWith('/')) return { socketPath, path };
  throw lost(`${url} is not a place that this daemon can migrate to: http+unix://<socket path>/ is`);
};

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

export const memoryPath = (vm: string, token: string): string =>
  `memory/${encodeURIComponent(vm)}/${encodeURIComponent(token)}`;

/** What `memoryPath` made, behind whatever path the daemon is reached by. */
export const readMemoryPath = (path: string): { readonly vm: string; readonly token: string } | undefined => {
  const [, vm = '', token = ''] = /(?:^|\/)memory\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const read = { vm: decoded(vm), token: decoded(token) };
  return read.vm && read.token ? { vm: read.vm, token: read.token } : undefined;
};

export const peerAt = (network: Network, url: string): MigrationPeer => {
  const { socketPath, path } = placeOf(url);
  const ask = xenopsCall(xmlRpc(network, { socketPath }, path));
  const outcome = (value: Value): MigrationOutcome =>
    stringOf(value, 'the outcome') === 'committed' ? 'committed' : 'abandoned';
  return {
    begin: (id, dbg) => ask('Migration.begin', dbg, { id }, stringOf, { timeoutMs: CALL_MS_MAX }),
    importMetadata: (metadata, dbg) =>
      ask('VM.import_metadata', dbg, { metadata }, () => {}, { timeoutMs: CALL_MS_MAX }),
    openMemory: async (vm, token) => {
      const to = `${path.replace(/\/$/, '')}/${memoryPath(vm, token)}`;
      try {
        return await network.openStream({ socketPath }, to, { timeoutMs: CALL_MS_MAX });
      } catch (error) {
        throw lost(`no way for the memory: ${error instanceof Error ? error.message : error}`);
      }
    },
    commit: (id, token, dbg) =>
      ask('Migration.commit', dbg, { id, token }, outcome, { timeoutMs: COMMIT_MS_MAX }),
    abandon: (id, token, dbg) =>
      ask('Migration.abandon', dbg, { id, token }, outcome, { timeoutMs: CALL_MS_MAX }),
    forget: (id, token, dbg) =>
      ask('Migration.forget', dbg, { id, token }, () => {}, { timeoutMs: CALL_MS_MAX }),
  };
};

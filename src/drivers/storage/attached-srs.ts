import type { Value } from '../../std/value.ts';
import { struct } from '../../std/value.ts';
import type { ScriptPlugins } from './script-plugins.ts';
import type { ScriptArgs, ScriptFolder } from './scripts.ts';
import type { StateFiles } from './state-files.ts';
import { type StorageCall, StorageError } from './storage.ts';

/**
 * The SRs attached to this host, remembered with the opaque name that their plugin gave them. Those of a
 * driver of SMAPIv1 have none.
 */
export interface AttachedSrs {
  has(sr: string): boolean;
  all(): readonly string[];
  /** SR_NOT_ATTACHED when it is not. */
  typeOf(sr: string): string;
  isOfDriver(sr: string): boolean;
  add(sr: string, type: string, handle: string | undefined): Promise<void>;
  remove(sr: string): Promise<void>;
  /** Runs a script of the SR's plugin, with the opaque name as its argument `sr`. */
  run<T>(
    sr: string,
    method: string,
    args: ScriptArgs,
    call: StorageCall,
    read: (value: Value) => T,
  ): Promise<T>;
  scriptsOf(sr: string): Promise<ScriptFolder>;
}

interface Attached {
  readonly type: string;
  readonly handle: string | undefined;
}

export const openAttachedSrs = async (files: StateFiles, plugins: ScriptPlugins): Promise<AttachedSrs> => {
  const attached = new Map<string, Attached>();
  for (const [sr, state] of await files.load()) {
    const [type, handle] = [state.get('type'), state.get('handle')];
    if (typeof type === 'string')
      attached.set(sr, { type, handle: typeof handle === 'string' ? handle : undefined });
  }

  const find = (sr: string) => {
    const found = attached.get(sr);
    if (found === undefined) throw new StorageError('SR_NOT_ATTACHED', [sr]);
    return found;
  };
  const scriptsOf = async (sr: string): Promise<ScriptFolder> => plugins.ofType(find(sr).type);

  return {
    has: (sr) => attached.has(sr),
    all: () => [...attached.keys()],
    typeOf: (sr) => find(sr).type,
    isOfDriver: (sr) => find(sr).handle === undefined,
    add: async (sr, type, handle) => {
      await files.put(sr, struct({ type, handle }));
      attached.set(sr, { type, handle });
    },
    remove: async (sr) => {
      await files.remove(sr);
      attached.delete(sr);
    },
    run: async (sr, method, args, call, read) =>
      (await scriptsOf(sr)).run(method, { sr: find(sr).handle, ...args }, call, read),
    scriptsOf,
  };
};

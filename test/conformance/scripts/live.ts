import { behaviours } from '../../../actors/behaviours.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { Value } from '../../../src/std/value.ts';
import type { Tx } from '../../../src/store/view.ts';
import { type Served, type ServedOptions, served } from '../../edge/served.ts';
import type { Case } from '../cases.ts';
import type { Adapter } from '../subject.ts';

/** A whole host behind its HTTP server, and the superuser who scripts call it as. */
export interface Live {
  readonly host: Served;
  readonly root: Ref<'session'>;
  /** Commits rows directly: what a case takes for given. */
  rows(write: (tx: Tx) => void): Promise<void>;
  /** The result of a call, or `{ error }`. */
  tried(method: string, ...params: readonly Value[]): Promise<unknown>;
}

type Script = (at: Live, one: Case) => Promise<unknown>;

const open = async (options: ServedOptions): Promise<Live> => {
  const host = await served({ behaviours, ...options });
  const root = await host.session();
  return {
    host,
    root,
    rows: async (write) => void (await host.world.store.commit(write)),
    tried: async (method, ...params) => {
      const reply = await host.json(method, root, ...params);
      return 'error' in reply ? reply : reply.value;
    },
  };
};

/** A script with a host of its own, which ends with it. */
export const live =
  (script: Script, options: ServedOptions = {}): Adapter =>
  async (one) => {
    const here = await open(options);
    try {
      return await script(here, one);
    } finally {
      await here.host.close();
    }
  };

/** A script whose cases share one host, which ends with the last of them. */
export const together = (script: Script, options: ServedOptions = {}): Adapter => {
  let opened: Promise<Live> | undefined;
  const put = async (one: Case): Promise<unknown> => {
    opened ??= open(options);
    return script(await opened, one);
  };
  const close = async (): Promise<void> => {
    const here = await opened;
    opened = undefined;
    await here?.host.close();
  };
  return Object.assign(put, { close });
};

/** Resolves once so many calls wait for events. */
export const waiting = async ({ host }: Live, count: number): Promise<void> => {
  while (host.edge.waiting < count) await new Promise((resolve) => setImmediate(resolve));
};

export const putVm = (tx: Tx, ref: string, fields: Record<string, unknown> = {}): Ref<'VM'> => {
  tx.create('VM', ref as Ref<'VM'>, { uuid: ref, name_label: ref, ...fields });
  return ref as Ref<'VM'>;
};

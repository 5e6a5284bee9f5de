import type { EtcdOperation, WatchEvent } from '../../drivers/etcd.ts';
import { BatchRefused } from '../../store/batch.ts';
import type { EtcdContext } from './context.ts';
import { digestOf } from './digest.ts';
import { sameKey } from './layout.ts';
import { pack, unpackCheck } from './records.ts';
import { type Tenure, under, wait } from './tenure.ts';

// Every host takes a digest of its rows at one generation: a group asks for it with its own write, so that it
// comes to each host right after that group. The leader then says what its own is.

/** What a group asks for beside its rows, when it is time. */
export const askCheck = ({ checks, layout }: EtcdContext, generation: number): readonly EtcdOperation[] =>
  checks.due ? [{ put: { key: layout.check, value: pack({ generation, digest: '' }) } }] : [];

/** The group that asked is on this host's disk: its digest is taken now, and told when it is known. */
export const tellCheck = async (context: EtcdContext, tenure: Tenure, generation: number): Promise<void> => {
  const { etcd, layout, checks, limits } = context;
  checks.due = false;
  const digest = await takeDigest(context);
  const value = pack({ generation, digest });
  await etcd.txn(
    {
      compare: [under(layout.coordinator, tenure.token)],
      success: [{ put: { key: layout.check, value } }],
      failure: [],
    },
    { timeoutMs: limits.callMs },
  );
  checks.last = { generation, same: true };
};

const takeDigest = ({ replica, clock }: EtcdContext): Promise<string> =>
  digestOf(replica.copy(), () => wait(clock, 0));

/**
 * A follower's part. Throws where its rows are not those of the leader. `idle`: all that came before is
 * written.
 */
export const checkAsked = async (
  context: EtcdContext,
  events: readonly WatchEvent[],
  idle: () => Promise<unknown>,
): Promise<void> => {
  const { layout, checks, replica, journal, self } = context;
  const event = events.find(({ kind, kv }) => kind === 'put' && sameKey(kv.key, layout.check));
  if (event === undefined) return;
  const { generation, digest } = unpackCheck(event.kv.value);
  if (digest === '') {
    await idle();
    const here = replica.position.generation === generation;
    checks.own = here ? { generation, digest: takeDigest(context) } : undefined;
    return;
  }
  if (checks.own?.generation !== generation) return;
  const same = (await checks.own.digest) === digest;
  checks.last = { generation, same };
  if (same) return;
  journal.error(
    { host: self.host, generation },
    'The rows of this host are not those of its pool: they are read anew',
  );
  context.differed(generation);
  throw new BatchRefused(`The rows differ at generation ${generation}`);
};

import type { EngineContext } from './context.ts';
import { refusal } from './refusal.ts';
import { answerOf } from './settings.ts';
import { isSound, majorityOf, viewOf, votersOf, withCluster } from './view.ts';

/**
 * Takes this host out of a cluster that is lost for good: its database is the log again, as far as this host
 * has it, and it waits for a coordinator as a host of a pool without a cluster does. What is left of a member
 * stays on its disk until a new cluster is made.
 */
export const leaveLost = async (context: EngineContext, force: boolean): Promise<void> => {
  const { store, process, restart } = context;
  if (answerOf(context).use !== 'etcd')
    throw refusal(`The pool's log is not in a cluster of etcd: there is nothing to leave`);
  if (await hasMajority(context))
    throw refusal(
      'The cluster answers: start the hosts that are away, and see xenact engine status; to leave etcd, ' +
        'xenact engine use primary on the coordinator',
    );
  if (!force)
    throw refusal(
      'Most members of the cluster do not answer, and start again with their hosts: wait for that. Only ' +
        'where they are lost for good, and no host can reach them, leave the cluster on every host with ' +
        'xenact engine restore --force. Changes that no host of the pool has in its database are lost ' +
        'then: let the one lead that has most (docs/engine.md)',
    );
  await process.stop();
  await store.change(() => ({ use: 'primary' }));
  restart();
};

const hasMajority = async (context: EngineContext): Promise<boolean> => {
  try {
    const voters = votersOf(await withCluster(context, viewOf));
    return voters.filter(isSound).length >= majorityOf(voters.length);
  } catch {
    return false;
  }
};

import { compareResult, compareTarget, type Etcd, EtcdFailure } from '../../drivers/etcd.ts';
import { Fault } from '../../std/fault.ts';
import type { LogLayout } from './layout.ts';
import { operationsMax, requestBytesMax } from './limits.ts';

const refusal = (text: string): Fault => new Fault('INTERNAL_ERROR', [text]);

const flags = `--max-txn-ops ${operationsMax} --max-request-bytes ${requestBytesMax + 1_048_576}`;

/**
 * Asks the cluster for what must not be done, as large as the log may ask: a comparison that is false must be
 * refused, or no fence holds, and what is too large must not come up with a commit. Nothing is written either
 * way.
 */
export const tryCluster = async (etcd: Etcd, { trial }: LogLayout, timeoutMs: number): Promise<void> => {
  const isThere = {
    key: trial,
    result: compareResult.greater,
    target: compareTarget.create,
    createRevision: 0,
  } as const;
  const remove = { deleteRange: { key: trial } };
  const many = Array.from({ length: operationsMax }, () => remove);
  const large = { put: { key: trial, value: new Uint8Array(requestBytesMax) } };
  for (const success of [many, [large]]) {
    const { succeeded } = await etcd
      .txn({ compare: [isThere], success, failure: [] }, { timeoutMs })
      .catch((error: unknown) => {
        if (!(error instanceof EtcdFailure) || error.reason !== 'too-large') throw error;
        throw refusal(
          `The etcd cluster takes too little in one transaction. Start its members with ${flags}, and try ` +
            `again.`,
        );
      });
    if (succeeded) {
      throw refusal(
        'The etcd cluster did what it was told to do only where a comparison holds which does not: it ' +
          'must not be used.',
      );
    }
  }
};

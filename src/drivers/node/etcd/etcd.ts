import { type Etcd, EtcdFailure, type Header, type OperationAnswer, type TxnAnswer } from '../../etcd.ts';
import { type ConnectOptions, type EtcdMethod, openChannels } from './channels.ts';
import { keepAlive } from './keep-alive.ts';
import * as messages from './messages.ts';
import type { Decoded, ProtobufMessage } from './protobuf.ts';
import { openWatch } from './watch.ts';

const method = <Q extends ProtobufMessage, A extends ProtobufMessage>(
  path: string,
  request: Q,
  answer: A,
  changes = false,
): EtcdMethod<Q, A> => ({ path: `/etcdserverpb.${path}`, request, answer, changes });

const range = method('KV/Range', messages.rangeRequest, messages.rangeResponse);
const txn = method('KV/Txn', messages.txnRequest, messages.txnResponse, true);
const compact = method('KV/Compact', messages.compactRequest, messages.onlyHeader, true);
const grant = method('Lease/LeaseGrant', messages.leaseGrantRequest, messages.leaseGrantResponse, true);
const revoke = method('Lease/LeaseRevoke', messages.leaseRequest, messages.onlyHeader, true);
const status = method('Maintenance/Status', messages.statusRequest, messages.statusResponse);

/** A client of a cluster; connections are made when they are needed. */
export const connectEtcd = (options: ConnectOptions): Etcd => {
  const channels = openChannels(options);
  return {
    endpoints: channels.endpoints,
    range: async (request, call) => {
      const { header, ...rest } = await channels.call(range, request, call);
      return { header: headOf(header), ...rest };
    },
    txn: async (request, call) => txnAnswer(await channels.call(txn, request, call)),
    watch: (request, events) => openWatch(channels, request, events),
    leaseGrant: async (ttlSeconds, call) => {
      const { id, ttlSeconds: given, error } = await channels.call(grant, { ttlSeconds }, call);
      if (error !== '') throw new EtcdFailure('refused', error);
      return { id, ttlSeconds: given };
    },
    leaseKeepAlive: (id, call) => keepAlive(channels, id, call),
    leaseRevoke: async (id, call) => void (await channels.call(revoke, { id }, call)),
    compact: async (revision, call) => void (await channels.call(compact, { revision }, call)),
    status: async (endpoint, call) => {
      const { header, ...rest } = await channels.call(status, {}, { ...call, endpoint });
      return { header: headOf(header), ...rest };
    },
    close: () => channels.close(),
  };
};

const headOf = (header: Decoded<typeof messages.header> | undefined): Header => {
  if (header === undefined) throw new EtcdFailure('refused', 'An answer came without its header');
  return header;
};

const txnAnswer = ({ header, succeeded, answers }: Decoded<typeof messages.txnResponse>): TxnAnswer => ({
  header: headOf(header),
  succeeded,
  answers: answers.map((answer): OperationAnswer => {
    if (answer.range !== undefined) return { range: answer.range };
    if (answer.deleteRange !== undefined) return { deleteRange: answer.deleteRange };
    return { put: {} };
  }),
});

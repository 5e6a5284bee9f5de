import { type Client, Metadata } from '@grpc/grpc-js';
import { EtcdFailure } from '../../etcd.ts';
import type { EtcdAlarm, EtcdCluster, EtcdMember } from '../../etcd-cluster.ts';
import { type ConnectOptions, type EtcdMethod, openChannels } from './channels.ts';
import { failureOf } from './failure.ts';
import * as messages from './messages.ts';
import { type Decoded, decode, many, one, type ProtobufMessage } from './protobuf.ts';

const member = {
  id: one(1, 'id'),
  name: one(2, 'text'),
  peerUrls: many(3, 'text'),
  clientUrls: many(4, 'text'),
  learner: one(5, 'bool'),
};
const addRequest = { peerUrls: many(1, 'text'), learner: one(2, 'bool') };
const addResponse = { header: one(1, messages.header), member: one(2, member) };
const listResponse = { header: one(1, messages.header), members: many(2, member) };
const memberRequest = { id: one(1, 'id') };
/** Actions: 0 asks, 2 ends an alarm. Alarms: 1 is NOSPACE, 2 is CORRUPT. */
const alarmRequest = { action: one(1, 'int'), member: one(2, 'id'), alarm: one(3, 'int') };
const alarm = { member: one(1, 'id'), alarm: one(2, 'int') };
const alarmResponse = { header: one(1, messages.header), alarms: many(2, alarm) };
const snapshotResponse = { remainingBytes: one(2, 'int'), piece: one(3, 'bytes') };

const ending = 2;
const kinds: readonly EtcdAlarm['kind'][] = ['other', 'NOSPACE', 'CORRUPT'];

const method = <Q extends ProtobufMessage, A extends ProtobufMessage>(
  path: string,
  request: Q,
  answer: A,
  more: { readonly changes?: true; readonly leaderless?: true } = {},
): EtcdMethod<Q, A> => ({ path: `/etcdserverpb.${path}`, request, answer, changes: false, ...more });

const changes = true;
const leaderless = true;
const add = method('Cluster/MemberAdd', addRequest, addResponse, { changes });
const remove = method('Cluster/MemberRemove', memberRequest, messages.onlyHeader, { changes });
const promote = method('Cluster/MemberPromote', memberRequest, messages.onlyHeader, { changes });
const list = method('Cluster/MemberList', {}, listResponse, { leaderless });
const alarms = method('Maintenance/Alarm', alarmRequest, alarmResponse);
const disarm = method('Maintenance/Alarm', alarmRequest, alarmResponse, { changes });
const status = method('Maintenance/Status', messages.statusRequest, messages.statusResponse, { leaderless });
const defragment = method('Maintenance/Defragment', {}, messages.onlyHeader, { changes });

/** Changes of members wait until the others have agreed, and for a new member to have the log. */
const changeMsMax = 10_000;
const defragmentMsMax = 120_000;
const snapshotMsMax = 600_000;

/** A client of a cluster for whoever looks after it. */
export const connectEtcdCluster = (options: ConnectOptions): EtcdCluster => {
  const channels = openChannels(options);
  const patient = { timeoutMs: changeMsMax };
  return {
    members: async () => {
      const { header, members } = await channels.call(list, {});
      return { clusterId: header?.clusterId ?? 0n, members };
    },
    addLearner: async (peerUrl) => {
      const { member: added } = await channels.call(add, { peerUrls: [peerUrl], learner: true }, patient);
      if (added === undefined) throw new EtcdFailure('refused', 'A member was added and not named');
      return added satisfies EtcdMember;
    },
    promote: async (id) => void (await channels.call(promote, { id }, patient)),
    remove: async (id) => void (await channels.call(remove, { id }, patient)),
    alarms: async () => {
      const answer = await channels.call(alarms, {});
      return answer.alarms.map((one) => ({ member: one.member, kind: kinds[one.alarm] ?? 'other' }));
    },
    disarm: async ({ member: of, kind }) => {
      await channels.call(disarm, { action: ending, member: of, alarm: kinds.indexOf(kind) }, patient);
    },
    status: async (endpoint) => {
      const { header, ...rest } = await channels.call(status, {}, { endpoint });
      if (header === undefined) throw new EtcdFailure('refused', 'An answer came without its header');
      return { header, ...rest };
    },
    defragment: async (endpoint) => {
      await channels.call(defragment, {}, { endpoint, timeoutMs: defragmentMsMax });
    },
    snapshot: (endpoint, take) => snapshotOf(channels.clientOf(endpoint), endpoint, take),
    close: () => channels.close(),
  };
};

/** Pieces are read no sooner than the one before is taken. */
const snapshotOf = async (
  client: Client,
  endpoint: string,
  take: (piece: Uint8Array) => Promise<void>,
): Promise<void> => {
  const stream = client.makeServerStreamRequest(
    '/etcdserverpb.Maintenance/Snapshot',
    () => Buffer.alloc(0),
    (bytes) => decode(snapshotResponse, bytes),
    {},
    new Metadata(),
    { deadline: Date.now() + snapshotMsMax },
  );
  try {
    for await (const { piece } of stream as AsyncIterable<Decoded<typeof snapshotResponse>>)
      await take(piece);
  } catch (error) {
    throw failureOf(error, endpoint, false);
  } finally {
    stream.cancel();
  }
};

import { many, one } from './protobuf.ts';

/** The messages of etcd's v3 API, as far as Xenact says or reads them. */
export const header = {
  clusterId: one(1, 'id'),
  memberId: one(2, 'id'),
  revision: one(3, 'int'),
  raftTerm: one(4, 'int'),
};

export const keyValue = {
  key: one(1, 'bytes'),
  createRevision: one(2, 'int'),
  modRevision: one(3, 'int'),
  version: one(4, 'int'),
  value: one(5, 'bytes'),
  lease: one(6, 'id'),
};

export const rangeRequest = {
  key: one(1, 'bytes'),
  rangeEnd: one(2, 'bytes'),
  limit: one(3, 'int'),
  revision: one(4, 'int'),
  keysOnly: one(8, 'bool'),
  countOnly: one(9, 'bool'),
};
export const rangeResponse = {
  header: one(1, header),
  kvs: many(2, keyValue),
  more: one(3, 'bool'),
  count: one(4, 'int'),
};

const putRequest = { key: one(1, 'bytes'), value: one(2, 'bytes'), lease: one(3, 'id') };
const deleteRequest = { key: one(1, 'bytes'), rangeEnd: one(2, 'bytes') };
const deleteResponse = { deleted: one(2, 'int') };

const compare = {
  result: one(1, 'int'),
  target: one(2, 'int'),
  key: one(3, 'bytes'),
  version: one(4, 'int'),
  createRevision: one(5, 'int'),
  modRevision: one(6, 'int'),
  value: one(7, 'bytes'),
  lease: one(8, 'id'),
};
const operation = {
  range: one(1, rangeRequest),
  put: one(2, putRequest),
  deleteRange: one(3, deleteRequest),
};
const answer = { range: one(1, rangeResponse), put: one(2, {}), deleteRange: one(3, deleteResponse) };

export const txnRequest = {
  compare: many(1, compare),
  success: many(2, operation),
  failure: many(3, operation),
};
export const txnResponse = {
  header: one(1, header),
  succeeded: one(2, 'bool'),
  answers: many(3, answer),
};

export const compactRequest = { revision: one(1, 'int'), physical: one(2, 'bool') };
/** Of answers that hold nothing else that is wanted. */
export const onlyHeader = { header: one(1, header) };

export const leaseGrantRequest = { ttlSeconds: one(1, 'int'), id: one(2, 'id') };
export const leaseGrantResponse = {
  header: one(1, header),
  id: one(2, 'id'),
  ttlSeconds: one(3, 'int'),
  error: one(4, 'text'),
};
export const leaseRequest = { id: one(1, 'id') };
export const leaseKeepAliveResponse = { header: one(1, header), id: one(2, 'id'), ttlSeconds: one(3, 'int') };

const watchCreate = {
  key: one(1, 'bytes'),
  rangeEnd: one(2, 'bytes'),
  fromRevision: one(3, 'int'),
  progressNotify: one(4, 'bool'),
  fragment: one(8, 'bool'),
};
export const watchRequest = { create: one(1, watchCreate), progress: one(3, {}) };
/** 0 is a put, 1 a deletion. */
const event = { type: one(1, 'int'), kv: one(2, keyValue) };
export const watchResponse = {
  header: one(1, header),
  created: one(3, 'bool'),
  canceled: one(4, 'bool'),
  compactRevision: one(5, 'int'),
  cancelReason: one(6, 'text'),
  fragment: one(7, 'bool'),
  events: many(11, event),
};

export const statusRequest = {};
export const statusResponse = {
  header: one(1, header),
  version: one(2, 'text'),
  dbSizeBytes: one(3, 'int'),
  leader: one(4, 'id'),
  raftIndex: one(5, 'int'),
  errors: many(8, 'text'),
  dbInUseBytes: one(9, 'int'),
  learner: one(10, 'bool'),
};

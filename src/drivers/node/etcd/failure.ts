import { status } from '@grpc/grpc-js';
import { EtcdFailure, type EtcdReason, OutcomeUnknown } from '../../etcd.ts';
import { NotProtobuf } from './protobuf.ts';

/** What gRPC says of a call that failed. */
export interface CallError {
  readonly code: number;
  readonly details: string;
}

const isCallError = (error: unknown): error is CallError =>
  error instanceof Error && typeof (error as { code?: unknown }).code === 'number' && 'details' in error;

/** Codes that a member answers before it proposes anything to the others. */
const refusals = new Set<number>([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.FAILED_PRECONDITION,
  status.RESOURCE_EXHAUSTED,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
]);

const meanings: readonly (readonly [RegExp, EtcdReason])[] = [
  [/has been compacted/, 'compacted'],
  [/is a future revision/, 'future'],
  [/requested lease not found/, 'lease-gone'],
  [/database space exceeded/, 'no-space'],
  [/request is too large|too many operations|message larger than max/, 'too-large'],
  [/permission denied|authentication|auth token/i, 'denied'],
  [/too many requests/, 'unavailable'],
];

/** Nothing of the call has left this process. */
export const notSent = (details: string): boolean =>
  /^(No connection established|Name resolution failed|Failed to connect)/.test(details);

const unacceptable = /certificate|handshake|self.signed|alert|ALTNAME|SSL routines/i;

const shown = (details: string): string => details.replaceAll(/\p{Cc}/gu, ' ').slice(0, 500);

/** What a failed call comes to. `changes`: the call was one that changes something. */
export const failureOf = (error: unknown, endpoint: string, changes: boolean): EtcdFailure => {
  if (error instanceof EtcdFailure) return error;
  if (error instanceof NotProtobuf) {
    const message = `${endpoint} answers with bytes that are not of etcd: ${error.message}`;
    return changes ? new OutcomeUnknown(message) : new EtcdFailure('refused', message);
  }
  if (!isCallError(error)) throw error;
  const said = `${endpoint}: ${shown(error.details)}`;
  if (notSent(error.details)) {
    return new EtcdFailure(unacceptable.test(error.details) ? 'denied' : 'unavailable', said);
  }
  if (refusals.has(error.code)) return new EtcdFailure(meaning(error.details), said);
  return changes ? new OutcomeUnknown(said) : new EtcdFailure('unavailable', said);
};

const meaning = (details: string): EtcdReason =>
  meanings.find(([text]) => text.test(details))?.[1] ?? 'refused';

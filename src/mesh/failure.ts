import { Fault } from '../std/fault.ts';

/**
 * Why a call did not get its answer.
 * `unreachable`: the link is down; whether the call was done is not known unless it has a request id and is
 * repeated. `deadline`: its time is over. `busy`: a limit of open calls or streams is reached, it was not
 * done. `stale`: one side is behind the other's epoch. `unknown`: nobody there answers to this name.
 * `unsendable`: it cannot go into a frame, being too large or of a type that does not travel; it was not
 * sent. `failed`: the other side failed and says how.
 */
export type MeshReason = 'unreachable' | 'deadline' | 'busy' | 'stale' | 'unknown' | 'unsendable' | 'failed';

const reasons: readonly string[] = [
  'unreachable',
  'deadline',
  'busy',
  'stale',
  'unknown',
  'unsendable',
  'failed',
] satisfies readonly MeshReason[];

export class MeshFailure extends Error {
  readonly reason: MeshReason;
  /** With `stale`: the epoch of whoever is ahead. */
  readonly epoch: number | undefined;

  constructor(reason: MeshReason, message: string, epoch?: number) {
    super(message);
    this.name = 'MeshFailure';
    this.reason = reason;
    this.epoch = epoch;
  }
}

/** Why bytes are no frame, or a value cannot be in one. A link that such bytes came by ends. */
export class FrameFailure extends Error {}

/** An error as it crosses. */
export type Problem =
  | { readonly fault: string; readonly params: readonly string[] }
  | { readonly mesh: MeshReason; readonly text: string; readonly epoch?: number }
  | { readonly error: string };

export const problemOf = (error: unknown): Problem => {
  if (error instanceof Fault) return { fault: error.code, params: error.params };
  if (error instanceof MeshFailure) {
    const { reason, message, epoch } = error;
    return epoch === undefined ? { mesh: reason, text: message } : { mesh: reason, text: message, epoch };
  }
  return { error: error instanceof Error ? error.message : String(error) };
};

/** The error that a problem stands for, at the other side. */
export const errorOf = (problem: Problem): Error => {
  if ('fault' in problem) return Fault.foreign(problem.fault, problem.params);
  if ('mesh' in problem) return new MeshFailure(problem.mesh, problem.text, problem.epoch);
  return new MeshFailure('failed', problem.error);
};

export const isProblem = (value: unknown): value is Problem => {
  if (typeof value !== 'object' || value === null) return false;
  const { fault, params, mesh, text, epoch, error } = value as Record<string, unknown>;
  if (typeof fault === 'string')
    return Array.isArray(params) && params.every((one) => typeof one === 'string');
  if (typeof mesh !== 'string') return typeof error === 'string';
  const epochFits = epoch === undefined || Number.isSafeInteger(epoch);
  return reasons.includes(mesh) && typeof text === 'string' && epochFits;
};

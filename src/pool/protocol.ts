import type { Carried } from '../objects/places.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import {
  jsonOf,
  membersOf,
  noMembers,
  countOf as readCount,
  listOf as readList,
  stringOf,
} from '../std/reader.ts';
import type { Position } from '../store/epochs.ts';

// What hosts of a pool ask each other. Whatever arrives is read by its reader here before it is used.

/** Version of all that is said among hosts, the lowest that is still spoken and the newest. */
export const protocolVersions = [2, 2] as const;

/** A message of a peer that is not what it should be. */
export class ProtocolError extends Error {
  constructor(what: string) {
    super(`A host of the pool sent ${what}`);
    this.name = 'ProtocolError';
  }
}

/** Reads what a peer sent; what does not fit is its fault. */
const fromPeer =
  <T>(read: (value: unknown, what: string) => T, what: string) =>
  (value: unknown): T => {
    try {
      return read(value, what);
    } catch (error) {
      throw error instanceof DecodeFailure ? new ProtocolError(`nonsense: ${error.message}`) : error;
    }
  };

const jsonText = fromPeer(
  (bytes) => jsonOf(Buffer.from(bytes as Uint8Array).toString('utf8')),
  'the message',
);

/** What is said to and by strangers is plain JSON. */
export const saidOf = (bytes: Uint8Array): unknown => jsonText(bytes);

export const sayable = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));

type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields => {
  const fields = membersOf(value);
  if (fields === noMembers) throw new ProtocolError('something else than fields');
  return fields;
};

export const textOf = fromPeer(stringOf, 'a text');

export const countOf = fromPeer((value, what) => readCount(value, what), 'a count');

export const flagOf = (value: unknown): boolean => value === true;

export const listOf: (value: unknown) => readonly unknown[] = fromPeer(readList, 'a list');

export const positionOf = (value: unknown): Position => {
  const { epoch, generation, cold } = fieldsOf(value);
  const position = { epoch: countOf(epoch), generation: countOf(generation) };
  return cold === true ? { ...position, cold } : position;
};

/** Further along the log of the pool. */
export const isAhead = (a: Position, b: Position): boolean =>
  a.epoch !== b.epoch ? a.epoch > b.epoch : a.generation > b.generation;

export const carriedOf = (value: unknown): Carried => {
  const { method, args, caller, task, watched, placed } = fieldsOf(value);
  const { session, user, role, originator, address, driverOf, madeFor } = fieldsOf(caller);
  for (const one of [session, user, role, originator, task]) textOf(one);
  for (const one of [address, driverOf]) if (one !== undefined) textOf(one);
  const { vm, host } = madeFor === undefined ? {} : fieldsOf(madeFor);
  if (madeFor !== undefined) for (const one of [vm, host]) textOf(one);
  if (watched !== 'untracked' && watched !== 'while-running' && watched !== 'until-destroyed') {
    throw new ProtocolError('a call that is watched in an unknown way');
  }
  return {
    method: textOf(method),
    args: listOf(args),
    caller: {
      session,
      user,
      role,
      originator,
      ...(address !== undefined && { address }),
      ...(driverOf !== undefined && { driverOf }),
      ...(madeFor !== undefined && { madeFor: { vm, host } }),
    } as Carried['caller'],
    task: task as Carried['task'],
    watched,
    placed: flagOf(placed),
  };
};

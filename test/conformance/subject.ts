import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../../src/std/fault.ts';
import type { Case, NamedCase } from './cases.ts';

/**
 * Puts a case to the real code and tells what came of it in the form of the case's `then`; `against` says
 * what to compare it with where `then` leaves room, such as an order that does not matter.
 */
export interface Adapter {
  (one: Case): unknown;
  /** Ends what its cases share. */
  readonly close?: () => Promise<void>;
}

const comparison = Symbol('comparison');

/** What was found, and what should have been. */
export const against = (found: unknown, expected: unknown): unknown => ({
  [comparison]: true,
  found,
  expected,
});

/** A case that cannot be put to the code: counted and shown, never passed over in silence. */
export class Skipped extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'Skipped';
  }
}

export const skip = (reason: string): never => {
  throw new Skipped(reason);
};

export type Verdict =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly name: string; readonly found: unknown; readonly expected: unknown }
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: string };

const caseMsMax = 60_000;

/** A case that waits for what never comes has failed, and keeps no other from running. */
const inTime = async (came: unknown): Promise<unknown> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Nothing came of it within ${caseMsMax} ms`)), caseMsMax);
  });
  try {
    return await Promise.race([came, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Never rejects: an adapter that throws has failed its case. */
export const judge = async (adapter: Adapter, { name, ...one }: NamedCase): Promise<Verdict> => {
  try {
    const came: any = await inTime(adapter(one));
    const compared = typeof came === 'object' && came !== null && came[comparison] === true;
    const found: unknown = compared ? came.found : came;
    const expected: unknown = compared ? came.expected : one.then;
    if (isDeepStrictEqual(found, expected)) return { kind: 'passed' };
    return { kind: 'failed', name, found, expected };
  } catch (error) {
    if (error instanceof Skipped) return { kind: 'skipped', name, reason: error.message };
    const found = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: 'failed', name, found, expected: one.then };
  }
};

/** A fault as cases have it: its code, then its parameters. */
export const listed = ({ code, params }: Fault): readonly string[] => [code, ...params];

/** The result of a call, or `{ error }` with the fault that it threw. */
export const outcome = async (run: () => unknown): Promise<unknown> => {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Fault) return { error: listed(error) };
    throw error;
  }
};

/** One adapter for each `call` of a subject that has several. */
export const byCall =
  (adapters: Readonly<Record<string, Adapter>>): Adapter =>
  (one) => {
    const call = String(one.when['call']);
    const adapter = Object.hasOwn(adapters, call) ? adapters[call] : undefined;
    return adapter === undefined ? skip(`nothing here answers the call "${call}"`) : adapter(one);
  };

export const mapOf = <T = string>(members: Readonly<Record<string, T>> | undefined): Map<string, T> =>
  new Map(Object.entries(members ?? {}));

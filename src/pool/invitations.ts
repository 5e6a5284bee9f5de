import { createHash } from 'node:crypto';
import type { Clock, Random } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';

/** Secrets that let one host into the pool each. They are in memory only, and only as hashes. */
export interface Invitations {
  /** Throws TOO_MANY_PENDING_TASKS. */
  issue(lastsMs: number): string;
  /**
   * Takes an invitation, which nobody else has then; undefined for one that is not known. `giveBack`: it was
   * not used.
   */
  take(secret: string): { readonly giveBack: () => void } | undefined;
}

export const invitationsMax = 64;
const secretBytes = 32;

export const invitationsOf = ({
  clock,
  random,
}: {
  readonly clock: Clock;
  readonly random: Random;
}): Invitations => {
  const untilMs = new Map<string, number>();
  const forget = (): void => {
    for (const [hash, endMs] of untilMs) if (endMs <= clock.monotonicMs()) untilMs.delete(hash);
  };
  return {
    issue: (lastsMs) => {
      forget();
      if (untilMs.size >= invitationsMax) throw new Fault('TOO_MANY_PENDING_TASKS');
      const secret = Buffer.from(random.bytes(secretBytes)).toString('base64url');
      untilMs.set(hashOf(secret), clock.monotonicMs() + lastsMs);
      return secret;
    },
    take: (secret) => {
      forget();
      const hash = hashOf(secret);
      const endMs = untilMs.get(hash);
      if (endMs === undefined) return undefined;
      untilMs.delete(hash);
      return { giveBack: () => void untilMs.set(hash, endMs) };
    },
  };
};

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

const prefix = 'xenact-join.';
const tokenForm = /^xenact-join\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/**
 * What an administrator carries from the coordinator to a host that is to join: who it is, and a secret for
 * it.
 */
export interface JoinToken {
  /** SHA-256 of the coordinator's certificate, in hexadecimal digits. */
  readonly fingerprint: string;
  readonly secret: string;
}

export const tokenText = ({ fingerprint, secret }: JoinToken): string =>
  `${prefix}${Buffer.from(fingerprint, 'hex').toString('base64url')}.${secret}`;

/** Undefined for a text that is no token. */
export const tokenOf = (text: string): JoinToken | undefined => {
  const [, fingerprint, secret] = tokenForm.exec(text.trim()) ?? [];
  if (fingerprint === undefined || secret === undefined) return undefined;
  return { fingerprint: Buffer.from(fingerprint, 'base64url').toString('hex'), secret };
};

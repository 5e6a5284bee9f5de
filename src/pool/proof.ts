import { createHash, createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { Clock, Random } from '../std/clock.ts';
import { countOf, fieldsOf, ProtocolError, textOf } from './protocol.ts';

// That two hosts know the same password, shown without saying it: SCRAM (RFC 5802) with SHA-256, with scrypt
// as its salted hash and with the server's certificate as its channel binding (RFC 5929,
// tls-server-end-point). Whoever stands between the two has another certificate, so what he passes on proves
// nothing.

/** How a password is kept: what `scrypt` makes of it. */
export interface Verifier {
  readonly salt: string;
  readonly key: string;
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** What the side that has the verifier says first. */
export interface Challenge extends Omit<Verifier, 'key'> {
  readonly nonce: string;
}

/** All that was said until the proof, which both sides must have heard alike. */
export interface ProofExchange {
  readonly user: string;
  readonly clientNonce: string;
  readonly challenge: Challenge;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
}

const nonceForm = /^[A-Za-z0-9_.-]{16,256}$/;
const keyBytes = 32;
const saltBytesMin = 16;
const saltCharsMax = 256;

/** An impostor shall not choose a hash that is quick to guess from, nor one that takes all memory. */
const costs = { N: [16_384, 131_072], r: [8, 16], p: [1, 4] } as const;

export const challengeOf = (value: unknown): Challenge => {
  const { salt, nonce, ...rest } = fieldsOf(value);
  const [saltText, nonceText] = [textOf(salt), textOf(nonce)];
  if (!nonceForm.test(nonceText)) throw new ProtocolError('no nonce');
  if (saltText.length > saltCharsMax || Buffer.from(saltText, 'base64').length < saltBytesMin)
    throw new ProtocolError('no salt');
  const cost = (name: keyof typeof costs): number => {
    const count = countOf(rest[name]);
    const [least, most] = costs[name];
    if (count < least || count > most) throw new ProtocolError('a hash of unusual cost');
    return count;
  };
  return { salt: saltText, nonce: nonceText, N: cost('N'), r: cost('r'), p: cost('p') };
};

export const nonceOf = (value: unknown): string => {
  const nonce = textOf(value);
  if (!nonceForm.test(nonce)) throw new ProtocolError('no nonce');
  return nonce;
};

export const saltedPassword = (password: string, { salt, N, r, p }: Challenge): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const maxmem = 256 * N * r;
    scrypt(password, Buffer.from(salt, 'base64'), keyBytes, { N, r, p, maxmem }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const said = ({ user, clientNonce, challenge, fingerprint }: ProofExchange): string => {
  const { salt, N, r, p, nonce } = challenge;
  return JSON.stringify(['xenact join 1', user, clientNonce, nonce, salt, N, r, p, fingerprint]);
};

const storedKeyOf = (clientKey: Uint8Array): Buffer => createHash('sha256').update(clientKey).digest();

const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));

/**
 * The client's: it shows the server that the password is known, and a server that has no verifier nothing to
 * use.
 */
export const clientProof = (salted: Uint8Array, exchange: ProofExchange): string => {
  const clientKey = hmac(salted, 'Client Key');
  return xor(clientKey, hmac(storedKeyOf(clientKey), said(exchange))).toString('base64');
};

/**
 * The server's, given only to a client that has proved itself: it shows that this server has the verifier.
 */
export const serverSignature = (salted: Uint8Array, exchange: ProofExchange): string =>
  hmac(hmac(salted, 'Server Key'), said(exchange)).toString('base64');

export const isProof = (salted: Uint8Array, exchange: ProofExchange, proof: string): boolean =>
  isSame(proof, clientProof(salted, exchange));

/**
 * The server's nonces: each says when it was made and for whom, so nothing is kept of whoever asked for it.
 */
export const noncesOf = ({ clock, random }: { readonly clock: Clock; readonly random: Random }) => {
  const own = random.bytes(keyBytes);
  const mark = (user: string, clientNonce: string, atMs: string): string =>
    createHmac('sha256', own)
      .update(JSON.stringify([user, clientNonce, atMs]))
      .digest('base64url');
  return {
    issue: (user: string, clientNonce: string): string => {
      const atMs = Math.floor(clock.monotonicMs()).toString(36);
      return `${atMs}.${mark(user, clientNonce, atMs)}`;
    },
    isOurs: ({ user, clientNonce, challenge }: ProofExchange, lastsMs: number): boolean => {
      const [atMs = '', given = ''] = challenge.nonce.split('.');
      const agoMs = clock.monotonicMs() - Number.parseInt(atMs, 36);
      return agoMs >= 0 && agoMs <= lastsMs && isSame(given, mark(user, clientNonce, atMs));
    },
  };
};

export const isSame = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};

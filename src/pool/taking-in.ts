import { FrameFailure } from '../mesh/failure.ts';
import { decodeValue } from '../mesh/value.ts';
import type { Role } from '../model/class.ts';
import { permits } from '../model/derive.ts';
import type { TakingIn } from '../objects/membership.ts';
import { rolesOfSubject, subjectOfUser, superuser } from '../rules/local-users.ts';
import { type Clock, sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { View } from '../store/view.ts';
import { addressOfPeer, type PoolContext } from './context.ts';
import { invitationsOf, tokenText } from './invitations.ts';
import { admit, joinRequestOf, joinsItself } from './joining.ts';
import type { SharedCredentials } from './membership.ts';
import type { OwnPeer } from './peers.ts';
import type { Pool } from './pool.ts';
import { isProof, nonceOf, noncesOf, type ProofExchange, serverSignature } from './proof.ts';
import { fieldsOf, ProtocolError, saidOf, sayable, textOf } from './protocol.ts';

export interface TakingInParts {
  readonly context: PoolContext;
  readonly pool: Pool;
  readonly credentials: Pick<SharedCredentials, 'exported' | 'verifier'>;
  readonly own: () => OwnPeer;
  /** SHA-256 of the certificate that hosts which join see. */
  readonly fingerprint: string;
}

/** Least role that adds hosts. */
const roleNeeded: Role = 'pool-operator';
const userCharsMax = 256;
/** Longest time from the first message of a host to its proof, and from there to its request. */
export const proofMsMax = 60_000;
export const tokenMsMax = 3_600_000;
/** A wrong proof is answered this late. */
export const wrongProofMs = 5_000;
/** Wrong proofs that wait for their answer, of one address and of all: any more are not even looked at. */
export const wrongProofsMax = 4;
export const wrongProofsOfAllMax = 256;

/** Takes hosts in: first they show that they were asked to come, then what they bring is read. */
export const takingInOf = (parts: TakingInParts): TakingIn => {
  const { context, credentials, fingerprint, pool } = parts;
  const invitations = invitationsOf(context);
  const nonces = noncesOf(context);
  const late = latenessOf(context.clock);
  const assertLeads = (): void => {
    if (pool.duty.kind !== 'leads') throw new Fault('HOST_IS_SLAVE', [pool.availability().coordinator ?? '']);
  };

  const prove = async (said: Uint8Array, address: string): Promise<object> => {
    assertLeads();
    const { user: named, clientNonce, nonce, proof } = fieldsOf(saidOf(said));
    const user = userOf(named);
    const { key, ...cost } = credentials.verifier(user);
    const challenge = { ...cost, nonce: nonceOf(nonce) };
    const exchange: ProofExchange = { user, clientNonce: nonceOf(clientNonce), challenge, fingerprint };
    late.assertRoom(address);
    const salted = Buffer.from(key, 'base64');
    const isRight = nonces.isOurs(exchange, proofMsMax) && isProof(salted, exchange, textOf(proof));
    if (!isRight) {
      await late.wait(address);
      throw new Fault('SESSION_AUTHENTICATION_FAILED', [user, 'The user name or the password is wrong']);
    }
    if (!mayAddHosts(context.store.committed, user)) {
      throw new Fault('RBAC_PERMISSION_DENIED', ['pool.join', `Adding a host takes the role ${roleNeeded}`]);
    }
    return { signature: serverSignature(salted, exchange), invitation: invitations.issue(proofMsMax) };
  };

  const takeIn = async (secret: string, read: () => Promise<Uint8Array>): Promise<object> => {
    const invitation = invitations.take(secret);
    if (invitation === undefined) {
      const why = 'The token is not known here, used up or too old: make another';
      throw new Fault('SESSION_AUTHENTICATION_FAILED', ['', why]);
    }
    try {
      return await admitted(parts, assertLeads, await read());
    } catch (error) {
      // It did not join, so what it was given is still good.
      invitation.giveBack();
      throw error;
    }
  };

  return {
    hello: (said) =>
      answer(async () => {
        assertLeads();
        const { user, nonce } = fieldsOf(saidOf(said));
        const { key: _, ...cost } = credentials.verifier(userOf(user));
        return { ...cost, nonce: nonces.issue(userOf(user), nonceOf(nonce)) };
      }),
    prove: (said, address) => answer(() => prove(said, address)),
    takeIn: (secret, read) => answer(() => takeIn(secret, read)),
    token: () => {
      assertLeads();
      return tokenText({ fingerprint, secret: invitations.issue(tokenMsMax) });
    },
  };
};

const mayAddHosts = (view: View, user: string): boolean => {
  if (user === superuser) return true;
  const subject = subjectOfUser(view, user);
  return subject !== undefined && rolesOfSubject(view, subject).some((role) => permits(role, roleNeeded));
};

const userOf = (value: unknown): string => {
  const user = textOf(value);
  if (user.length > userCharsMax) throw new ProtocolError('too long a name');
  return user;
};

const admitted = async (
  { context, own, credentials }: TakingInParts,
  assertLeads: () => void,
  said: Uint8Array,
): Promise<object> => {
  const { store, state, host } = context;
  const request = joinRequestOf(decodeValue(said));
  if (request.host === host) throw joinsItself(1);
  assertLeads();
  await admit(context, request);
  const { address, port, pins } = own();
  const others = [...store.committed.all('xenact_peer')].filter(
    ([, peer]) => peer.host !== host && peer.host !== request.host,
  );
  return {
    coordinator: { host, address, port: Number(port), pins },
    others: others.map(([, peer]) => addressOfPeer(peer)),
    epoch: state.current?.epoch ?? 1,
    credentials: credentials.exported(),
  };
};

/** A fault as the other side reads it. */
const answer = async (make: () => Promise<object>): Promise<Uint8Array> => {
  try {
    return sayable(await make());
  } catch (error) {
    // Anybody may send anything here.
    const isOdd = error instanceof ProtocolError || error instanceof FrameFailure;
    const fault = isOdd ? new Fault('JOINING_HOST_SERVICE_FAILED') : error;
    if (!(fault instanceof Fault)) throw fault;
    return sayable({ fault: fault.code, params: fault.params });
  }
};

/** Guesses wait for their answer, and while many do no others are taken. */
const latenessOf = (clock: Clock) => {
  const waiting = new Map<string, number>();
  let all = 0;
  return {
    assertRoom: (address: string): void => {
      if (all >= wrongProofsOfAllMax || (waiting.get(address) ?? 0) >= wrongProofsMax)
        throw new Fault('TOO_MANY_PENDING_TASKS');
    },
    wait: async (address: string): Promise<void> => {
      const change = (by: number): void => {
        const left = (waiting.get(address) ?? 0) + by;
        all += by;
        if (left > 0) waiting.set(address, left);
        else waiting.delete(address);
      };
      change(1);
      await sleep(clock, wrongProofMs);
      change(-1);
    },
  };
};

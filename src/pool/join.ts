import type { OpenDoor, PoolDoor, Posted } from '../drivers/pool-door.ts';
import { encodeValue } from '../mesh/value.ts';
import { type JoinTarget, joinPaths } from '../objects/membership.ts';
import { Fault } from '../std/fault.ts';
import { hostsOf, type PoolContext } from './context.ts';
import { type JoinToken, tokenOf } from './invitations.ts';
import { assertCanJoin, joinAnswerOf, joinsItself, rowsToBring } from './joining.ts';
import type { OwnPeer } from './peers.ts';
import { challengeOf, clientProof, isSame, saltedPassword, serverSignature } from './proof.ts';
import { fieldsOf, listOf, ProtocolError, protocolVersions, saidOf, sayable, textOf } from './protocol.ts';

export interface JoinParts {
  readonly context: PoolContext;
  readonly door: PoolDoor;
  readonly own: () => OwnPeer;
  /** SHA-256 of the certificate that this host's own clients see. */
  readonly fingerprint: string;
  readonly credentials: { adopt(exported: string): Promise<unknown> };
}

const openMs = 10_000;
const proveMs = 30_000;
const joinMsMax = 120_000;

/**
 * Gives this host into the pool at an address. Nothing is said there before it is known who answers: by the
 * fingerprint that was given, by a token, or, on this machine, by the proof that it knows the password too.
 */
export const join = async (parts: JoinParts, target: JoinTarget): Promise<void> => {
  const { context, door } = parts;
  const { address, pin } = placeOf(target.address);
  const token = tokenOf(target.password);
  const opened = await door.open(address, openMs).catch((error: unknown) => {
    throw notReached(context, address, error);
  });
  try {
    if (opened.fingerprint === parts.fingerprint) throw joinsItself(hostsOf(context).length);
    assertKnown(opened, address, [pin, token?.fingerprint]);
    assertCanJoin(context.store.latest, context.host);
    await handOver(parts, opened, target, token);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    context.log.warn(
      { error, address },
      'What answers for the pool to join speaks otherwise than a coordinator',
    );
    throw new Fault('JOINING_HOST_SERVICE_FAILED');
  } finally {
    opened.close();
  }
};

const fingerprintForm = /^(?:sha256:)?((?:[0-9a-f]{2}:?){32})$/i;

/** SHA-256 of a certificate as people copy it, with or without colons; undefined where it is none. */
export const fingerprintOf = (text: string): string | undefined =>
  fingerprintForm.exec(text.trim())?.[1]?.replaceAll(':', '').toLowerCase();

const placeOf = (text: string): { readonly address: string; readonly pin: string | undefined } => {
  const at = text.indexOf('#');
  if (at < 0) return { address: text, pin: undefined };
  const pin = fingerprintOf(text.slice(at + 1));
  if (pin === undefined) throw new Fault('INVALID_VALUE', ['master_address', text.slice(0, 300)]);
  return { address: text.slice(0, at), pin };
};

const assertKnown = (
  { fingerprint, local }: OpenDoor,
  address: string,
  pins: readonly (string | undefined)[],
): void => {
  const wanted = pins.filter((pin) => pin !== undefined);
  const other = wanted.find((pin) => pin !== fingerprint);
  if (other !== undefined) {
    throw new Fault('SSL_VERIFY_ERROR', [
      `${address} shows the certificate sha256:${fingerprint} and not sha256:${other}: somebody else ` +
        `answers there`,
    ]);
  }
  if (wanted.length > 0 || local) return;
  throw new Fault('SSL_VERIFY_ERROR', [
    `${address} shows the certificate sha256:${fingerprint}, which nobody has vouched for. Run ` +
      '"xenact join-token" on the coordinator and join with the token it prints; or make sure there ' +
      `that the fingerprint is its own, and give the address as ${address}#${fingerprint}`,
  ]);
};

const notReached = ({ log }: PoolContext, address: string, error: unknown): Fault => {
  log.warn({ error: String(error), address }, 'The coordinator of the pool to join was not reached');
  return new Fault('JOINING_HOST_CONNECTION_FAILED');
};

const handOver = async (
  { context, own, credentials }: JoinParts,
  door: OpenDoor,
  { user, password, force }: JoinTarget,
  token: JoinToken | undefined,
): Promise<void> => {
  const { store, host, state } = context;
  const ask = asking(context, door);
  const invitation = token?.secret ?? (await prove(context, door, user, password));
  const request = { host, versions: protocolVersions, peer: own(), force, rows: rowsToBring(store) };
  const answer = joinAnswerOf(
    await ask(joinPaths.takeIn, encodeValue(request), { timeoutMs: joinMsMax, invitation }),
  );
  await credentials.adopt(answer.credentials);
  // Takes effect at the next start, so that the answer still goes out.
  const epoch = Math.max(answer.epoch, state.current?.epoch ?? 0);
  const { coordinator, others } = answer;
  await state.save({ host, role: 'member', epoch, led: 0, coordinator, others, change: 'joins' });
};

type Ask = (path: string, said: Uint8Array, options: Parameters<OpenDoor['post']>[2]) => Promise<unknown>;

/** The fault that the other side answers is thrown. */
const asking =
  (context: PoolContext, door: OpenDoor): Ask =>
  async (path, said, options) => {
    const { status, body }: Posted = await door.post(path, said, options).catch((error: unknown) => {
      throw notReached(context, path, error);
    });
    if (status !== 200) throw new Fault('JOINING_HOST_SERVICE_FAILED');
    const answer = fieldsOf(saidOf(body));
    if (answer['fault'] !== undefined) {
      throw Fault.foreign(textOf(answer['fault']), listOf(answer['params']).map(textOf));
    }
    return answer;
  };

/** Shows that this host knows the password, and sees that the other side does. Answers its invitation. */
const prove = async (
  context: PoolContext,
  door: OpenDoor,
  user: string,
  password: string,
): Promise<string> => {
  const ask = asking(context, door);
  const clientNonce = Buffer.from(context.random.bytes(24)).toString('base64url');
  const { fingerprint } = door;
  const challenge = challengeOf(
    await ask(joinPaths.hello, sayable({ user, nonce: clientNonce }), { timeoutMs: proveMs }),
  );
  const exchange = { user, clientNonce, challenge, fingerprint };
  const salted = await saltedPassword(password, challenge);
  const proof = clientProof(salted, exchange);
  const said = sayable({ user, clientNonce, nonce: challenge.nonce, proof });
  const answer = fieldsOf(await ask(joinPaths.prove, said, { timeoutMs: proveMs }));
  if (!isSame(textOf(answer['signature']), serverSignature(salted, exchange))) {
    throw new Fault('SSL_VERIFY_ERROR', [
      'What answers there takes any password, and cannot show that it knows it',
    ]);
  }
  return textOf(answer['invitation']);
};

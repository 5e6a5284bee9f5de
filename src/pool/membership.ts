import type { PoolDoor } from '../drivers/pool-door.ts';
import type { Ref } from '../model/types.ts';
import type { Membership } from '../objects/membership.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { hostsOf, type PoolContext, peerOf, peerRef } from './context.ts';
import { join } from './join.ts';
import { closeHost, removeHost } from './joining.ts';
import { askPatiently } from './patience.ts';
import type { OwnPeer } from './peers.ts';
import type { Pool } from './pool.ts';
import type { Verifier } from './proof.ts';
import { countOf, fieldsOf, textOf } from './protocol.ts';

/** Who may log in, as all hosts of a pool know it. */
export interface SharedCredentials {
  exported(): string;
  /**
   * What a user's password is proved against. Of a user that does not exist: something that no password fits.
   */
  verifier(user: string): Verifier;
  adopt(exported: string): Promise<void>;
}

export interface MembershipParts {
  readonly context: PoolContext;
  readonly pool: Pool;
  readonly door: PoolDoor;
  readonly credentials: SharedCredentials;
  readonly own: () => OwnPeer;
  /** SHA-256 of the certificate that this host's clients see. */
  readonly fingerprint: string;
  /**
   * Makes a new certificate and keeps it beside the old one; answers its fingerprint and how to change to it.
   */
  readonly nextCertificate: () => Promise<{ readonly pin: string; readonly use: () => Promise<void> }>;
  /** Why a host at that address must stay in the pool for now; undefined: it may go. */
  readonly mustStay?: ((address: string) => string | undefined) | undefined;
  /** Starts this host's program again. */
  readonly restart: () => void;
}

/** Time for an answer to reach the client before the program that gives it starts again. */
const answerMs = 300;
const followMsMax = 10_000;
const rotateMsMax = 30_000;

/** A member's users are those of the pool, also after passwords changed while it was away. */
export const adoptUsers = async (
  { mesh, log }: PoolContext,
  credentials: SharedCredentials,
  leader: Ref<'host'>,
): Promise<void> => {
  try {
    const answer = fieldsOf(await mesh.call(leader, 'credentials', {}, { timeoutMs: followMsMax }));
    const exported = textOf(answer['credentials']);
    if (exported !== credentials.exported()) await credentials.adopt(exported);
  } catch (error) {
    log.warn({ error: String(error), leader }, 'The users of the pool were not taken over');
  }
};

export const membershipOf = (parts: MembershipParts): Membership => {
  const { context, pool, restart } = parts;
  const { store, mesh, clock, host, state, isUp } = context;
  const again = (): void => void clock.after(answerMs, restart);
  const turns = rotatingOf(parts);

  mesh.serve('ejected', async (_, { from }) => {
    pool.assertLeader(from);
    const current = state.current;
    if (current !== undefined) await state.save({ ...current, change: 'ejected' });
    again();
    return {};
  });
  mesh.serve('reached', async (payload, { signal }) => {
    await store.reached(countOf(fieldsOf(payload)['generation']), signal);
    return {};
  });
  mesh.serve('credentials', async () => {
    if (pool.duty.kind !== 'leads') throw new Fault('HOST_IS_SLAVE', [pool.availability().coordinator ?? '']);
    return { credentials: parts.credentials.exported() };
  });
  mesh.serve('newCredentials', async (payload, { from }) => {
    pool.assertLeader(from);
    await parts.credentials.adopt(textOf(fieldsOf(payload)['credentials']));
    return {};
  });
  mesh.serve('rotate', async (_, { from }) => {
    pool.assertLeader(from);
    const { pin, over } = await turns.rotate();
    // Links that were made with the old certificate end with it, also the one that this answer takes.
    over.catch((error: unknown) => context.log.warn({ error: String(error) }, 'An old certificate stays'));
    return { pin };
  });

  return {
    join: async (target) => {
      await join(parts, target);
      again();
    },
    eject: async (out) => {
      if (out === host) throw new Fault('HOST_CANNOT_DESTROY_SELF', [out]);
      const why = parts.mustStay?.(peerOf(context, out)?.address ?? '');
      if (why !== undefined) throw new Fault('OPERATION_NOT_ALLOWED', [why]);
      if (!isUp(out)) throw new Fault('CANNOT_CONTACT_HOST', [out]);
      const wasEnabled = await store.commit((tx) => closeHost(tx, out));
      try {
        await asked(context, out, 'ejected', followMsMax);
        await store.commit((tx) => removeHost(tx, out, context));
      } catch (error) {
        if (wasEnabled) await reopened(context, out);
        throw error;
      }
    },
    designate: pool.designate,
    takeOver: pool.takeOver,
    lookFor: async () => {
      const untilMs = clock.monotonicMs() + followMsMax;
      while (!(pool.duty.kind === 'follows' && pool.duty.synced)) {
        if (pool.duty.kind === 'leads') throw new Fault('HOST_ITS_OWN_SLAVE');
        if (clock.monotonicMs() > untilMs) throw new Fault('HOST_MASTER_CANNOT_TALK_BACK', ['']);
        await sleep(clock, context.limits.seekMs);
      }
    },
    recover: pool.recover,
    setAside: (one) =>
      store.commit((tx) => {
        if (tx.get('xenact_peer', peerRef(one)) !== undefined)
          tx.patch('xenact_peer', peerRef(one), { dead: true });
      }),
    rotate: async () => {
      const others = hostsOf(context).filter((one) => one !== host);
      const missing = others.find((one) => !isUp(one));
      // A host that is away would not know the new certificates, and could never come back.
      if (missing !== undefined) throw new Fault('HOST_OFFLINE', [missing]);
      for (const one of others) {
        const pin = textOf(fieldsOf(await asked(context, one, 'rotate', rotateMsMax))['pin']);
        await shownAlone(context, one, pin);
      }
      const { over } = await turns.rotate();
      await over;
    },
    isReachable: (one) => one === host || isUp(one),
    shareCredentials: async () => {
      const credentials = parts.credentials.exported();
      await Promise.all(
        hostsOf(context)
          .filter((one) => one !== host && isUp(one))
          .map((one) => mesh.call(one, 'newCredentials', { credentials }, { timeoutMs: followMsMax })),
      );
    },
  };
};

const asked = (
  context: PoolContext,
  host: Ref<'host'>,
  name: string,
  timeoutMs: number,
  payload: object = {},
): Promise<unknown> =>
  askPatiently(context, host, (requestId) =>
    context.mesh.call(host, name, payload, { timeoutMs, requestId }),
  );

/** A host that was to go takes guests again, if it is there. */
const reopened = ({ store, log }: PoolContext, host: Ref<'host'>): Promise<void> =>
  store
    .commit((tx) => {
      if (tx.get('host', host) !== undefined) tx.patch('host', host, { enabled: true });
    })
    .catch((error: unknown) => log.warn({ error: String(error), host }, 'A host stays disabled'));

/** Resolves once the rows say that a host is known by its new certificate only. */
const shownAlone = async (context: PoolContext, host: Ref<'host'>, pin: string): Promise<void> => {
  const { clock, limits } = context;
  const untilMs = clock.monotonicMs() + rotateMsMax;
  const isAlone = (): boolean => {
    const pins = peerOf(context, host)?.pins ?? [pin];
    return pins.length === 1 && pins[0] === pin;
  };
  while (!isAlone()) {
    if (clock.monotonicMs() > untilMs) throw new Fault('CANNOT_CONTACT_HOST', [host]);
    await sleep(clock, limits.seekMs);
  }
};

interface Rotated {
  readonly pin: string;
  /** Resolves once nobody trusts the old certificate any more. */
  readonly over: Promise<void>;
}

/** Rotations of this host's own certificate: one begins once the one before is over. */
const rotatingOf = (parts: MembershipParts): { readonly rotate: () => Promise<Rotated> } => {
  let last: Promise<unknown> = Promise.resolve();
  return {
    rotate: () => {
      const rotated = last.then(() => rotateOwn(parts));
      last = rotated.then(({ over }) => over).catch(() => undefined);
      return rotated;
    },
  };
};

/** The new certificate is used once every host trusts it, and the old one forgotten once nobody uses it. */
const rotateOwn = async ({ context, nextCertificate }: MembershipParts): Promise<Rotated> => {
  const { store, host } = context;
  const own = peerRef(host);
  const { pin, use } = await nextCertificate();
  const before = peerOf(context, host)?.pins ?? [];
  const trust = (pins: readonly string[]): Promise<void> =>
    store.commit((tx) => tx.patch('xenact_peer', own, { pins }));
  await trust([...before, pin]);
  try {
    const { generation } = store;
    for (const one of hostsOf(context)) {
      if (one !== host) await asked(context, one, 'reached', rotateMsMax, { generation });
    }
  } catch (error) {
    await trust(before);
    throw error;
  }
  // Should this fail half-way, either certificate may be the one of the next start: both stay trusted.
  await use();
  return { pin, over: trust([pin]) };
};

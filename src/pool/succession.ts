import { MeshFailure } from '../mesh/failure.ts';
import type { Ref } from '../model/types.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Batch } from '../store/batch.ts';
import type { Position } from '../store/epochs.ts';
import { piecesOf } from './following.ts';
import { type Ground, hostsOf, votersOf, votesNeeded } from './ground.ts';
import { fieldsOf, isAhead, positionOf, whoOf } from './protocol.ts';

/** Which part a host plays now. */
export type Role =
  | { readonly kind: 'leads' }
  /** `synced`: it has had all that the leader had when it began to follow. */
  | { readonly kind: 'follows'; readonly leader: Ref<'host'>; readonly synced: boolean }
  /** It knows no leader, or has been told not to obey the one it had. */
  | { readonly kind: 'seeks'; readonly sinceMs: number; readonly last: Ref<'host'> | undefined };

/** What others answer when they are asked whether this host may lead. */
interface Consent {
  readonly host: Ref<'host'>;
  readonly position: Position;
}

/** Asks every other host; those that do not answer in time are left out. */
export const askAll = async <T>(
  ground: Ground,
  hosts: readonly Ref<'host'>[],
  name: string,
  payload: unknown,
  read: (answer: unknown, host: Ref<'host'>) => T,
): Promise<readonly T[]> => {
  const { mesh, host: self, limits, log } = ground;
  const answers = await Promise.all(
    hosts
      .filter((host) => host !== self)
      .map(async (host) => {
        try {
          return [read(await mesh.call(host, name, payload, { timeoutMs: limits.answerMsMax }), host)];
        } catch (error) {
          log.debug({ error: String(error), host, name }, 'A host did not answer');
          return [];
        }
      }),
  );
  return answers.flat();
};

/** Who leads as far as the others know, the one with the highest epoch first. */
export const whoLeads = async (
  ground: Ground,
): Promise<{ readonly heard: number; readonly leader?: Ref<'host'>; readonly epoch: number }> => {
  const { state, host: self } = ground;
  // A host that has just joined has no rows of the pool yet.
  const joined = state.current?.coordinator?.host;
  const hosts = new Set([...hostsOf(ground), ...(joined === undefined ? [] : [joined])]);
  const told = await askAll(ground, [...hosts], 'who', {}, (answer, host) => ({
    host,
    who: whoOf(answer),
  }));
  const known = state.current?.epoch ?? 0;
  const leaders = told
    .filter(({ who }) => who.leads && who.epoch >= known)
    .toSorted((a, b) => b.who.epoch - a.who.epoch);
  const epoch = Math.max(known, ...told.map(({ who }) => who.epoch));
  const leader = leaders[0]?.host;
  return { heard: told.length, epoch, ...(leader !== undefined && leader !== self && { leader }) };
};

/**
 * Gathers the consent of the others to a new epoch under this host: whoever consents obeys no older
 * coordinator from then on. Then brings this host's log up to the longest of theirs, so that nothing is lost
 * that any of them has acknowledged. Answers the epoch.
 */
export const succeed = async (ground: Ground, insists: boolean): Promise<number> => {
  const { state, replica, host, limits } = ground;
  for (let attempt = 0; ; attempt += 1) {
    const { epoch: highest } = await whoLeads(ground);
    const epoch = Math.max(highest, replica.epoch) + 1;
    const current = state.current;
    if (current === undefined) throw new Error('A host without a state cannot lead');
    await state.save({ ...current, epoch, consent: { epoch, host } });
    const others = hostsOf(ground);
    const consents = await askAll(
      ground,
      others,
      'consent',
      { epoch },
      (answer, from): Consent | undefined => {
        const { position } = fieldsOf(answer);
        return position === undefined ? undefined : { host: from, position: positionOf(position) };
      },
    );
    const given = consents.flatMap((one) => one ?? []);
    const outrun = consents.length > given.length;
    if (outrun && attempt < attemptsMax) {
      await sleep(ground.clock, ground.random.fraction() * limits.seekMs);
      continue;
    }
    const voters = votersOf(ground);
    const votes = 1 + given.filter((one) => voters.includes(one.host)).length;
    if (votes < votesNeeded(voters.length) && !insists) throw new TooFew(votes, voters.length);
    const best = given.toSorted((a, b) => (isAhead(a.position, b.position) ? -1 : 1))[0];
    if (best !== undefined && isAhead(best.position, replica.position)) {
      await fetchFrom(ground, best.host).catch((error: unknown) => {
        throw error instanceof MeshFailure ? new Fault('CANNOT_CONTACT_HOST', [best.host]) : error;
      });
    }
    if (state.current?.epoch !== epoch) {
      if (attempt < attemptsMax) continue;
      throw new Fault('CANNOT_CONTACT_HOST', [host]);
    }
    return epoch;
  }
};

const attemptsMax = 5;

/** Whoever asks again after this means it. */
export class TooFew extends Fault {
  constructor(votes: number, voters: number) {
    super('INTERNAL_ERROR', [
      `Only ${votes} of ${voters} hosts of the pool answer. If the others are off and stay off, repeat the call within five minutes; ` +
        'if they may be running, start or reconnect them first: a pool must not have two coordinators.',
    ]);
    this.name = 'TooFew';
  }
}

/** A member that has more of the log than this host hands it over as a leader would. */
const fetchFrom = async (ground: Ground, host: Ref<'host'>): Promise<void> => {
  const { replica, mesh, limits } = ground;
  const call = (name: string, payload: unknown): Promise<unknown> =>
    mesh.call(host, name, payload, { timeoutMs: limits.applyMsMax });
  const { batch } = fieldsOf(await call('since', { position: replica.position }));
  if (batch === undefined || batch === null) await replica.replace(piecesOf(call));
  else await replica.apply(batch as Batch);
};

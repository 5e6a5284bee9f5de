import type { Ref } from '../../model/types.ts';
import { hostsOf, type PoolContext, peerOf } from '../../pool/context.ts';
import { countOf, fieldsOf, flagOf, positionOf, textOf } from '../../pool/protocol.ts';
import { toldOf } from '../../pool/state.ts';
import type { Position } from '../../store/epochs.ts';

/** What a host says of itself to whoever asks. */
export interface Who {
  /** The highest that it has heard of. */
  readonly epoch: number;
  /** It leads now, and can be followed. */
  readonly leads: boolean;
  /** Whom it follows, or ''. */
  readonly leader: string;
  readonly position: Position;
}

export const whoOf = (value: unknown): Who => {
  const { epoch, leads, leader, position } = fieldsOf(value);
  return {
    epoch: countOf(epoch),
    leads: flagOf(leads),
    leader: textOf(leader),
    position: positionOf(position),
  };
};

export interface Answer extends Who {
  readonly host: Ref<'host'>;
}

/** Asks other hosts; those that do not answer in time are left out. */
export const askAll = async <T>(
  { mesh, limits, log }: PoolContext,
  hosts: readonly Ref<'host'>[],
  name: string,
  payload: unknown,
  read: (answer: unknown, host: Ref<'host'>) => T,
): Promise<readonly T[]> => {
  const answers = await Promise.all(
    hosts.map(async (host) => {
      try {
        const options = { timeoutMs: limits.answerMsMax };
        return [read(await mesh.call(host, name, payload, options), host)];
      } catch (error) {
        log.debug({ error: String(error), host, name }, 'A host did not answer');
        return [];
      }
    }),
  );
  return answers.flat();
};

/** All other hosts of the pool, also the one that a host was told of when it joined and has no rows yet. */
export const othersOf = (context: PoolContext): readonly Ref<'host'>[] => {
  const { current } = context.state;
  // Of a host that led since, whom it followed before may have left the pool.
  const told = current?.role === 'member' ? toldOf(current) : [];
  const all = new Set([...hostsOf(context), ...told.map(({ host }) => host)]);
  all.delete(context.host);
  return [...all];
};

/** Those whose word is waited for: all that were not declared dead. */
export const awaitedOf = (context: PoolContext): readonly Ref<'host'>[] =>
  othersOf(context).filter((host) => peerOf(context, host)?.dead !== true);

export const askWho = (context: PoolContext): Promise<readonly Answer[]> =>
  askAll(context, othersOf(context), 'who', {}, (answer, host) => ({ host, ...whoOf(answer) }));

/** The leader of the highest epoch, among those that are not behind `epoch`. */
export const leaderAmong = (answers: readonly Answer[], epoch: number): Answer | undefined =>
  answers.filter((one) => one.leads && one.epoch >= epoch).toSorted((a, b) => b.epoch - a.epoch)[0];

export const highestEpoch = (answers: readonly Answer[], own: number): number =>
  Math.max(own, ...answers.map(({ epoch }) => epoch));

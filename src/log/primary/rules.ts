import type { Ref } from '../../model/types.ts';
import { isAhead } from '../../pool/protocol.ts';
import type { Complete } from '../../pool/state.ts';
import type { Position } from '../../store/epochs.ts';
import type { Answer } from './asking.ts';

// When a host may lead without an order that is insisted upon. Pure: what a host knows goes in, why it may
// not comes out.

export interface Knowledge {
  readonly host: Ref<'host'>;
  readonly position: Position;
  /** All whose word counts. */
  readonly awaited: readonly Ref<'host'>[];
  readonly answers: readonly Answer[];
}

/** Why a host that has everything, as far as it knows, may not lead yet; undefined: it may. */
export const objectionTo = (
  { position, awaited, answers, host }: Knowledge,
  nameOf: (host: Ref<'host'>) => string,
): string | undefined => {
  const missing = awaited.filter((one) => !answers.some((answer) => answer.host === one));
  const ahead = answers.find((one) => isAhead(one.position, position));
  if (ahead !== undefined) return `${nameOf(ahead.host)} has more of the pool's changes than this host`;
  const held = answers.find((one) => one.leader !== '' && one.leader !== host);
  if (held !== undefined) return `${nameOf(held.host)} follows ${nameOf(held.leader as Ref<'host'>)}`;
  if (missing.length === 0) return undefined;
  return `${missing.map(nameOf).join(', ')} did not say yet whether another host was promoted meanwhile`;
};

/** The leader's last word is known, and this host has everything up to it. */
export const hasAll = (complete: Complete | undefined, { epoch, generation }: Position): boolean =>
  complete !== undefined && complete.epoch === epoch && generation >= complete.generation;

export interface Figures {
  readonly position: Position;
  readonly complete: Complete | undefined;
  /** Since this host last heard of a leader; undefined: not since its start. */
  readonly silentMs: number | undefined;
  readonly answers: readonly Answer[];
  /** Hosts that did not answer. */
  readonly missing: readonly Ref<'host'>[];
}

/** What an order to lead may lose, in a sentence or several. */
export const lossOf = (
  { position, complete, silentMs, answers, missing }: Figures,
  nameOf: (host: Ref<'host'>) => string,
): string => {
  const { epoch, generation } = position;
  const heard =
    silentMs === undefined
      ? 'it has not heard of a coordinator since it started'
      : `it last heard of its coordinator ${Math.ceil(silentMs / 1_000)} seconds ago`;
  const short = complete !== undefined && complete.epoch === epoch ? complete.generation - generation : 0;
  const ahead = answers.filter((one) => isAhead(one.position, position));
  return [
    `This host has the pool's changes up to generation ${generation} of epoch ${epoch}, and ${heard}.`,
    short > 0
      ? `The coordinator stopped at generation ${complete?.generation}: ${short} generations are missing ` +
        `here.`
      : 'Changes that the coordinator answered after that may be missing.',
    ...ahead.map((one) => {
      const more = one.position.epoch === epoch ? ` (${one.position.generation - generation} more)` : '';
      return (
        `${nameOf(one.host)} is at generation ${one.position.generation} of epoch ` +
        `${one.position.epoch}${more}: order that one instead.`
      );
    }),
    ...(missing.length === 0
      ? []
      : [
          `Not answering: ${missing.map(nameOf).join(', ')}; what they have and this host lacks is lost ` +
            `to the pool.`,
        ]),
  ].join(' ');
};

export const howToInsist =
  'To lead all the same, with that loss: xenact lead --force on this host, or the parameter force of ' +
  'pool.emergency_transition_to_master. Only do it when the coordinator is off, or cut off, and stays so.';

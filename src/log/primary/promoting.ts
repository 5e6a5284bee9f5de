import { MeshFailure } from '../../mesh/failure.ts';
import type { Ref } from '../../model/types.ts';
import { fieldsOf, flagOf } from '../../pool/protocol.ts';
import { sleep } from '../../std/clock.ts';
import { asFault, Fault } from '../../std/fault.ts';
import {
  type Answer,
  askAll,
  askWho,
  awaitedOf,
  highestEpoch,
  leaderAmong,
  othersOf,
  whoOf,
} from './asking.ts';
import { hasAll, howToInsist, lossOf, objectionTo } from './rules.ts';
import { begin, namesOf, type Primary, stateOf } from './tenure.ts';

/** A leader that hands over, and one that begins, have this long. */
export const handOverMsMax = 20_000;

/**
 * Leads once every host whose word counts has promised that it will not. Answers why it may not, or nothing.
 * Whoever promises forgets that it may have everything, so that of several that could lead at most one does.
 */
export const claim = async (
  primary: Primary,
  answers: readonly Answer[],
  awaited: readonly Ref<'host'>[],
): Promise<string | undefined> => {
  const { context } = primary;
  const { replica, state, host } = context;
  if (primary.busy) return 'This host is about to lead, or to hand over';
  primary.busy = true;
  try {
    const epoch = highestEpoch(answers, Math.max(stateOf(primary).epoch, replica.epoch)) + 1;
    await state.save({ ...stateOf(primary), epoch });
    const promised = await askAll(context, othersOf(context), 'claim', { epoch }, (answer, from) => ({
      ...{ host: from, ...whoOf(answer) },
      promises: flagOf(fieldsOf(answer)['promises']),
    }));
    const nameOf = namesOf(context);
    const known = { host, position: replica.position, awaited, answers: promised };
    const objection = objectionTo(known, nameOf);
    if (objection !== undefined) return objection;
    const refusing = promised.find(({ promises }) => !promises);
    if (refusing !== undefined) return `${nameOf(refusing.host)} leads, or is about to`;
    if (stateOf(primary).epoch !== epoch || primary.now.kind !== 'none')
      return 'Another host leads meanwhile';
    await begin(primary, epoch);
    return undefined;
  } finally {
    primary.busy = false;
  }
};

/** An epoch that nobody asked about: the number is one that no other such order comes upon. */
const unasked = (highest: number, fraction: number): number => highest + 1 + Math.ceil(fraction * 1_048_575);

/** An operator orders this host to lead. */
export const promote = async (primary: Primary, insist: boolean): Promise<void> => {
  const { context } = primary;
  const { replica, random, clock, host } = context;
  if (primary.tenure !== undefined) return;
  const answers = await askWho(context);
  const leader = leaderAmong(answers, stateOf(primary).epoch);
  if (leader !== undefined) {
    const refusal = await takeFrom(primary, leader.host);
    if (refusal === undefined) return;
    if (!insist) throw new Fault('OPERATION_NOT_ALLOWED', [refusal]);
  }
  const refusal = await refusalOf(primary, answers);
  if (refusal === undefined) return;
  if (!insist) {
    throw new Fault('OPERATION_NOT_ALLOWED', [
      `This host does not lead, since ${refusal}. ${lossIn(primary, answers)} ${howToInsist}`,
    ]);
  }
  const epoch = unasked(
    highestEpoch(answers, Math.max(stateOf(primary).epoch, replica.epoch)),
    random.fraction(),
  );
  const when = new Date(clock.now()).toISOString();
  const name = namesOf(context)(host);
  const text = `${name} was ordered to lead at ${when}, with force. ${lossIn(primary, answers)}`;
  const tenure = await begin(primary, epoch, text);
  await Promise.race([tenure.whenOpen, sleep(clock, handOverMsMax)]);
};

/** Why this host may not lead by an order that is not insisted upon; undefined: it leads now. */
const refusalOf = async (primary: Primary, answers: readonly Answer[]): Promise<string | undefined> => {
  const { context } = primary;
  const { replica, host, clock } = context;
  const { complete, role } = stateOf(primary);
  const knows = hasAll(complete, replica.position);
  if (!knows && role !== 'coordinator') return 'it cannot know that it has every change';
  // The leader that has stopped, and said where, need not say it again.
  const awaited = awaitedOf(context).filter((one) => !(knows && one === complete?.host));
  const known = { host, position: replica.position, awaited, answers };
  const objection = objectionTo(known, namesOf(context)) ?? (await claim(primary, answers, awaited));
  const { tenure } = primary;
  if (tenure !== undefined) await Promise.race([tenure.whenOpen, sleep(clock, handOverMsMax)]);
  return objection;
};

/** The leader is there, so it hands over. Answers why it does not. */
const takeFrom = async (primary: Primary, leader: Ref<'host'>): Promise<string | undefined> => {
  const { mesh } = primary.context;
  try {
    await mesh.call(leader, 'yield', {}, { timeoutMs: handOverMsMax });
    return undefined;
  } catch (error) {
    const why = error instanceof MeshFailure ? error.message : asFault(error).message;
    const name = namesOf(primary.context)(leader);
    return (
      `${name} coordinates the pool and did not hand over (${why}): call pool.designate_new_master ` +
      `there. ${howToInsist}`
    );
  }
};

/** What an order may lose as this host knows it. */
const lossIn = (primary: Primary, answers: readonly Answer[]): string => {
  const { context, now, heardMs } = primary;
  const { clock, replica } = context;
  const missing = awaitedOf(context).filter((one) => !answers.some((answer) => answer.host === one));
  const present = now.kind === 'other' && context.isUp(now.host);
  const silentMs = present ? 0 : heardMs === undefined ? undefined : clock.monotonicMs() - heardMs;
  const { complete } = stateOf(primary);
  return lossOf({ position: replica.position, complete, silentMs, answers, missing }, namesOf(context));
};

import { sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import { askWho, awaitedOf, leaderAmong } from './asking.ts';
import { claim } from './promoting.ts';
import { objectionTo } from './rules.ts';
import { namesOf, obey, type Primary, say, stateOf } from './tenure.ts';

/** Looks for a leader until there is one. The host that led last leads again once nobody objects. */
export const seek = (primary: Primary): void => {
  const { clock, random, limits, log } = primary.context;
  if (primary.closed) return;
  primary.search.abort();
  primary.search = new AbortController();
  const { signal } = primary.search;
  const search = async (): Promise<void> => {
    while (!signal.aborted) {
      // A disk that is full now may have room later, so nothing that fails ends the search.
      await look(primary, signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ error: String(error) }, 'The search for a coordinator goes on');
      });
      // Hosts that ask each other whether they may lead do not do it at the same time for ever.
      if (!signal.aborted) await sleep(clock, limits.seekMs * (0.75 + random.fraction() / 2));
    }
  };
  void search();
};

const look = async (primary: Primary, signal: AbortSignal): Promise<void> => {
  const { context } = primary;
  const { replica, host } = context;
  if (primary.busy) return;
  const answers = await askWho(context);
  if (signal.aborted || primary.busy) return;
  const leader = leaderAmong(answers, stateOf(primary).epoch);
  if (leader !== undefined) return void (await obey(primary, leader.host, leader.epoch));
  const { role, complete } = stateOf(primary);
  if (role !== 'coordinator') {
    return waitFor(
      primary,
      complete === undefined
        ? 'No coordinator answers: start it again, or order a host to lead with xenact lead'
        : 'The coordinator was stopped: start it again, or order a host to lead with xenact lead',
    );
  }
  const awaited = awaitedOf(context);
  const known = { host, position: replica.position, awaited, answers };
  const objection = objectionTo(known, namesOf(context)) ?? (await claim(primary, answers, awaited));
  if (objection === undefined || signal.aborted) return;
  waitFor(
    primary,
    `This host coordinated the pool last and does not lead again yet: ${objection}. Start those hosts, ` +
      'or order a host to lead with xenact lead --force',
  );
};

const waitFor = (primary: Primary, text: string): void => {
  const { now } = primary;
  if (now.kind !== 'none' || now.why?.params[0] === text) return;
  say(primary, { kind: 'none', why: new Fault('HOST_STILL_BOOTING', [text]) });
};

// Goal: logins to one host alone last as long as they are used, and cannot fill its memory.
// Method: the sessions of a host with a clock that the test moves.
import { expect, test } from 'vitest';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { localIdleMsMax, localSessionsMax, localSessionsOf } from '../../src/objects/local-sessions.ts';
import { manualClock } from '../manual-clock.ts';

const opened = () => {
  const clock = manualClock();
  return { clock, sessions: localSessionsOf({ clock, random: nodeRandom }) };
};

test('A session names its user until it is ended', () => {
  const { sessions } = opened();
  const session = sessions.open('root');
  expect(sessions.userOf(session)).toBe('root');
  expect(sessions.userOf(sessions.open('root'))).toBe('root');
  sessions.end(session);
  expect(sessions.userOf(session)).toBeUndefined();
  expect(sessions.userOf('OpaqueRef:none')).toBeUndefined();
});

test('A session that is used goes on, one that is idle for a day has ended', async () => {
  const { clock, sessions } = opened();
  const used = sessions.open('root');
  const idle = sessions.open('root');
  await clock.advance(localIdleMsMax);
  sessions.use(used);
  await clock.advance(1);
  expect(sessions.userOf(used)).toBe('root');
  expect(sessions.userOf(idle)).toBeUndefined();
});

test('One more than there may be ends the one that was idle longest', () => {
  const { sessions } = opened();
  const all = Array.from({ length: localSessionsMax }, () => sessions.open('root'));
  sessions.use(all[0] as string);
  sessions.open('root');
  expect(all.filter((session) => sessions.userOf(session) === undefined)).toEqual([all[1]]);
});

test('Whoever listens hears of each end, also of one that nobody asked for', async () => {
  const { clock, sessions } = opened();
  const ended: string[] = [];
  const stop = sessions.onEnd((session) => ended.push(session));
  const [idle, out, other] = ['root', 'root', 'other'].map((user) => sessions.open(user)) as [any, any, any];
  sessions.end(out);
  sessions.end(out);
  sessions.endOf('other');
  expect(ended).toEqual([out, other]);
  await clock.advance(localIdleMsMax + 1);
  expect(ended).toEqual([out, other, idle]);
  stop();
  sessions.end(sessions.open('root'));
  expect(ended).toHaveLength(3);
});

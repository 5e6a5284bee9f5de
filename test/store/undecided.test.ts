// Goal: a commit of which nobody could say whether the log has it is answered with what became of it, once the log
// tells: never with success and nothing there, never with a refusal and its rows there.
// Method: a leader whose log loses the answer for one group; then the log goes on with that group, or without it.
import { describe, expect, test } from 'vitest';
import { LogFenced, type LogGroup } from '../../src/store/appending.ts';
import type { Batch } from '../../src/store/batch.ts';
import { following, type Host, host, type Loose, sent } from './hosts.ts';

const add = (store: Host, ref: string): Promise<void> =>
  store.commit((tx: Loose) => tx.create('shelf', ref, { uuid: ref }));
const turn = (): Promise<void> => new Promise(setImmediate);
const state = async (promise: Promise<unknown>): Promise<string> => {
  const ended = promise.then(
    () => 'done',
    (error: Error) => error.message,
  );
  await turn();
  return Promise.race([ended, Promise.resolve('waits')]);
};

/** A leader and a follower that have one row; the answer for another row was lost, and a third one waits behind it. */
const lost = async () => {
  const leader = host();
  const taken: Batch[] = [];
  let lose: (() => void) | undefined;
  let loses = false;
  const append = (group: LogGroup) => {
    if (!loses) {
      const written = group.write();
      taken.push(sent(group.batch()));
      return { written, acknowledged: written };
    }
    const batch: Batch = sent(group.batch());
    taken.push({ ...batch, acknowledged: batch.generation });
    const written = new Promise<void>((_, reject) => {
      lose = () => reject(new LogFenced('Another host leads'));
    });
    return { written, acknowledged: written };
  };
  await leader.leadWith(1, { append });
  await add(leader, 's0');
  const follower = host();
  await follower.disown();
  await following(leader, follower, 'follower');
  loses = true;
  const made = add(leader, 's1');
  await turn();
  const behind = state(add(leader, 's2'));
  lose?.();
  const refused = await behind;
  return { leader, follower, made, refused, batch: taken.at(-1) as Batch };
};

describe('a commit whose fate is not known', () => {
  test('waits, is not shown, and refuses what waited behind it', async () => {
    const { leader, made, refused } = await lost();
    expect(await state(made)).toBe('waits');
    expect(leader.latest.get('shelf', 's1')).toBeUndefined();
    expect(refused).toContain('repeat the call');
  });

  test('succeeds once the log turns out to have it', async () => {
    const { leader, made, batch } = await lost();
    await leader.receive();
    await leader.apply(batch);
    await made;
    expect(leader.committed.get('shelf', 's1')).toBeDefined();
    expect(leader.committed.get('shelf', 's2')).toBeUndefined();
  });

  test('succeeds where the host that goes on had it', async () => {
    const { leader, follower, made, batch } = await lost();
    await follower.apply(batch);
    await follower.lead(2);
    await following(follower, leader, 'leader');
    await made;
    expect(leader.committed.get('shelf', 's1')).toBeDefined();
  });

  test('is refused where the log goes on without it', async () => {
    const { leader, follower, made } = await lost();
    await follower.lead(2);
    await add(follower, 's3');
    const refused = expect(made).rejects.toThrow('repeat the call');
    await following(follower, leader, 'leader');
    await refused;
    expect(leader.committed.get('shelf', 's1')).toBeUndefined();
    expect(leader.committed.get('shelf', 's3')).toBeDefined();
  });

  test('is told as unknown when the host stops before', async () => {
    const { leader, made } = await lost();
    const unknown = expect(made).rejects.toBeInstanceOf(LogFenced);
    await leader.close();
    await unknown;
  });
});

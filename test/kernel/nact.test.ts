// Goal: an actor handles one message at a time, in order, survives a bug, and has a mailbox that ends.
// Method: the shell over the real library.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ActorSystem, actorSystem } from '../../src/kernel/nact.ts';

let system: ActorSystem;
beforeEach(() => {
  system = actorSystem('test');
});
afterEach(() => system.stop());

type Message = number | 'break';

const counting = (seen: Message[], done: (count: number) => void, mailboxMax = 1000) =>
  system.group('group').spawn<number, Message, Message>({
    name: 'counter',
    initial: 0,
    machine: (count, message) => {
      if (message === 'break') throw new Error('bug');
      return [count + 1, message];
    },
    perform: (effect) => {
      seen.push(effect);
      return undefined;
    },
    rested: done,
    onBug: () => seen.push('break'),
    mailboxMax,
  });

test('messages are handled in the order in which they were told', async () => {
  const seen: Message[] = [];
  await new Promise<void>((resolve) => {
    const actor = counting(seen, (count) => count === 100 && resolve());
    for (let i = 0; i < 100; i++) actor.tell(i);
  });
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test('a bug drops its message, keeps the state and is reported', async () => {
  const seen: Message[] = [];
  await new Promise<void>((resolve) => {
    const actor = counting(seen, (count) => count === 2 && resolve());
    actor.tell(1);
    actor.tell('break');
    actor.tell(2);
  });
  expect(seen).toEqual([1, 'break', 2]);
});

test('a full mailbox takes nothing more and says so', async () => {
  const seen: Message[] = [];
  await new Promise<void>((resolve) => {
    const actor = counting(seen, (count) => count === 3 && resolve(), 3);
    expect([1, 2, 3, 4].map((i) => actor.tell(i))).toEqual([true, true, true, false]);
    expect(actor.pending).toBe(3);
  });
  expect(seen).toEqual([1, 2, 3]);
});

test('what an effect tells its own actor comes before what waits', async () => {
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    const actor = system.group('group').spawn<number, string, string>({
      name: 'echo',
      initial: 0,
      machine: (count, message) => [count + 1, message],
      perform: (effect) => {
        seen.push(effect);
        return effect === 'a' ? 'after a' : undefined;
      },
      rested: (count) => count === 3 && resolve(),
      onBug: () => {},
    });
    actor.tell('a');
    actor.tell('b');
  });
  expect(seen).toEqual(['a', 'after a', 'b']);
});

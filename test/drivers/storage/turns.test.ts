// Goal: work on one thing never overlaps with work that needs it alone, and nobody is forgotten.
// Method: works that end when the test says so.

import { describe, expect, it } from 'vitest';
import { turns } from '../../../src/drivers/storage/turns.ts';

const gate = () => {
  let open = (): void => {};
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, closed };
};
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('turns', () => {
  it('are taken in the order of asking, sharers together', async () => {
    const line = turns(10);
    const begun: string[] = [];
    const gates = new Map<string, ReturnType<typeof gate>>();
    const start = (name: string, mode: 'alone' | 'shared') => {
      gates.set(name, gate());
      return line[mode]('thing', async () => {
        begun.push(name);
        await gates.get(name)?.closed;
      });
    };
    const all = [start('s1', 'shared'), start('s2', 'shared'), start('a', 'alone'), start('s3', 'shared')];
    await turn();
    expect(begun).toEqual(['s1', 's2']);
    gates.get('s1')?.open();
    await turn();
    expect(begun).toEqual(['s1', 's2']);
    gates.get('s2')?.open();
    await turn();
    expect(begun).toEqual(['s1', 's2', 'a']);
    gates.get('a')?.open();
    gates.get('s3')?.open();
    await Promise.all(all);
    expect(begun).toEqual(['s1', 's2', 'a', 's3']);
  });

  it('let things of different names run side by side, and go on after a failure', async () => {
    const line = turns(10);
    const held = gate();
    const first = line.alone('a', () => held.closed);
    await line.alone('b', async () => {});
    held.open();
    await first;
    await expect(line.alone('a', async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await line.alone('a', async () => 7)).toBe(7);
  });

  it('let who aborts leave the line, without holding up who is behind', async () => {
    const line = turns(10);
    const held = gate();
    const first = line.shared('a', () => held.closed);
    const abort = new AbortController();
    const second = line.alone('a', async () => 'never', abort.signal);
    const third = line.shared('a', async () => 'third');
    abort.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    expect(await third).toBe('third');
    held.open();
    await first;
  });

  it('refuse who finds too many waiting', async () => {
    const line = turns(1);
    const held = gate();
    const first = line.alone('a', () => held.closed);
    const second = line.alone('a', async () => {});
    await expect(line.alone('a', async () => {})).rejects.toThrow(/Too many requests/);
    held.open();
    await Promise.all([first, second]);
  });
});

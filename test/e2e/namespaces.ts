import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { Layout } from './hosts.ts';

// Hosts with networks of their own on one machine: a namespace for each, on a bridge that the test reaches too.

export interface Namespaces extends Layout {
  /** From now on nothing that the host and the others send each other arrives. Tests still reach all of them. */
  cut(index: number): void;
  heal(): void;
  /** Takes everything away again. */
  remove(): void;
}

const ip = (...args: readonly string[]): boolean => spawnSync('ip', args, { stdio: 'ignore' }).status === 0;

/** Undefined where this is not allowed. */
export const namespaces = (count: number): Namespaces | undefined => {
  const id = randomBytes(3).toString('hex');
  const bridge = `xb${id}`;
  const names = Array.from({ length: count }, (_, index) => `xenact-${id}-${index}`);
  const subnet = `10.${(64 + (randomBytes(1)[0] as number) / 2) | 0}.${randomBytes(1)[0]}`;
  const addressOf = (index: number): string => `${subnet}.${index + 1}`;
  const inside = (index: number, ...args: readonly string[]): boolean =>
    ip('-n', names[index] as string, ...args);

  const remove = (): void => {
    for (const name of names) ip('netns', 'del', name);
    ip('link', 'del', bridge);
  };
  const connected = (name: string, index: number): boolean => {
    const [near, far] = [`xv${id}${index}`, `xw${id}${index}`];
    return (
      ip('netns', 'add', name) &&
      ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far) &&
      ip('link', 'set', far, 'netns', name) &&
      ip('link', 'set', near, 'master', bridge, 'up') &&
      inside(index, 'link', 'set', 'lo', 'up') &&
      inside(index, 'address', 'add', `${addressOf(index)}/24`, 'dev', far) &&
      inside(index, 'link', 'set', far, 'up')
    );
  };
  const made =
    ip('link', 'add', bridge, 'type', 'bridge') &&
    ip('address', 'add', `${subnet}.254/24`, 'dev', bridge) &&
    ip('link', 'set', bridge, 'up') &&
    names.every(connected);
  if (!made) {
    remove();
    return undefined;
  }

  /** Sends what goes to the other one to a card that nobody has. */
  const mislead = (from: number, to: number): void => {
    const nobody = ['lladdr', '02:00:00:00:00:fe', 'nud', 'permanent'];
    inside(from, 'neighbour', 'replace', addressOf(to), ...nobody, 'dev', `xw${id}${from}`);
  };
  const pairs = names.flatMap((_, from) => names.map((__, to) => [from, to] as const));
  return {
    addressOf,
    via: (index) => ['ip', 'netns', 'exec', names[index] as string],
    cut: (index) => {
      for (const [from, to] of pairs) {
        if (from !== to && (from === index || to === index)) mislead(from, to);
      }
    },
    heal: () => {
      for (const [from, to] of pairs) {
        if (from !== to) inside(from, 'neighbour', 'del', addressOf(to), 'dev', `xw${id}${from}`);
      }
    },
    remove,
  };
};

// Daemons that die on the way, as kill -9 would have it.
import type { Backend } from '../../../src/daemons/xenopsd/backend.ts';
import { simBackend } from '../../../src/daemons/xenopsd/sim.ts';
import { openSimGuests } from '../../../src/daemons/xenopsd/sim-guests.ts';
import { type Bench, type Machinery, promised, startDaemon } from './harness.ts';

const never = (): Promise<never> => new Promise(() => {});

/** A daemon that dies once somebody says so. */
export const startMortal = async (
  at: Bench,
  backendOf: (basics: Machinery, die: () => Promise<never>) => Backend | Promise<Backend>,
): Promise<{ readonly died: Promise<void> }> => {
  const dead = promised<void>();
  let kill: () => Promise<void> = async () => {};
  const die = async (): Promise<never> => {
    await kill();
    dead.resolve();
    return never();
  };
  ({ kill } = await startDaemon(at, {}, {}, (basics) => backendOf(basics, die)));
  return { died: dead.promise };
};

/** Where a daemon dies that moves a disk to another image. */
export const deaths = ['before', 'noted', 'exchanged'] as const;

export const simOf = async (at: Bench, basics: Machinery): Promise<Backend> =>
  simBackend({ ...basics, guests: await openSimGuests({ ...basics, state: at.path('sim') }) });

export const dyingIn = async (
  at: Bench,
  death: (typeof deaths)[number],
  basics: Machinery,
  die: () => Promise<never>,
): Promise<Backend> => {
  const backend = await simOf(at, basics);
  return {
    ...backend,
    mirrorVbd: async (vm, from, into, given) => {
      if (death === 'before') await die();
      const whole = death === 'noted' ? () => given.whole().then(die) : given.whole;
      await backend.mirrorVbd(vm, from, into, { ...given, whole });
      await die();
    },
  };
};

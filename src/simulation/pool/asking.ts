import { Fault } from '../../std/fault.ts';
import type { SeededRandom } from '../random.ts';
import { isMember } from './members.ts';
import type { World, WorldHost } from './world.ts';

// How clients and operators of a simulated pool ask its hosts.

export type Heard = { readonly result: any } | { readonly fault: string } | 'unknown';

/** A client gives a call up after this time, and then knows nothing of it. */
const patienceMs = 90_000;

/** A host of the pool that serves. */
export const anyReady = (world: World, random: SeededRandom): WorldHost | undefined => {
  const ready = world.hosts.filter((host) => host.ready && host.belongs && isMember(world, host));
  return ready.length === 0 ? undefined : random.pick(ready);
};

export const weighted = <K extends string>(random: SeededRandom, weights: Readonly<Record<K, number>>): K => {
  const entries = Object.entries(weights) as [K, number][];
  let left = random.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    left -= weight;
    if (left < 0) return name;
  }
  return entries.at(-1)?.[0] as K;
};

/** A call whose end may never be heard: when its host ends, or after a long time. */
export const ask = (world: World, host: WorldHost, run: () => Promise<any>): Promise<Heard> =>
  new Promise((resolve) => {
    const { process } = host;
    if (process === undefined) return resolve({ fault: 'CONNECTION_REFUSED' });
    const cancel = world.clock.after(patienceMs, () => resolve('unknown'));
    const forget = process.life.onEnd(() => {
      cancel();
      resolve('unknown');
    });
    const end = (outcome: Heard): void => {
      // A process that is held up, or ended, answers nobody.
      process.life.after(0, () => {
        cancel();
        forget();
        resolve(outcome);
      });
    };
    run().then(
      (result) => end({ result }),
      (error: unknown) => end({ fault: error instanceof Fault ? error.code : String(error) }),
    );
  });

/** Faults of which it is not said that nothing was done. */
export const isOpen = (outcome: Heard): boolean =>
  outcome === 'unknown' ||
  ('fault' in outcome &&
    ['CANNOT_CONTACT_HOST', 'INTERNAL_ERROR', 'HOST_STILL_BOOTING'].includes(outcome.fault));

export const succeeded = (outcome: Heard): boolean => outcome !== 'unknown' && 'result' in outcome;

import { nodeTurns } from '../../src/drivers/node/turns.ts';
import { type Life, lifeOf } from '../../src/simulation/life.ts';
import { type Loop, loopOf } from '../../src/simulation/loop.ts';
import { type SeededRandom, seededRandom } from '../../src/simulation/random.ts';
import { type VirtualClock, virtualClock } from '../../src/simulation/virtual-clock.ts';

// What every test of a simulated part begins with.

export interface Simulated {
  readonly clock: VirtualClock;
  readonly loop: Loop;
  readonly random: SeededRandom;
  life(name: string): Life;
}

export const simulated = (seed: string): Simulated => {
  const clock = virtualClock();
  return {
    clock,
    loop: loopOf({ clock, turns: nodeTurns }),
    random: seededRandom(seed),
    life: (name) => lifeOf(name, clock),
  };
};

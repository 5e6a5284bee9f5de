import { nodeTurns } from '../../../src/drivers/node/turns.ts';
import { onlyTroubles, type SimulationOptions } from '../../../src/simulation/pool/options.ts';
import { type Simulated, simulate } from '../../../src/simulation/pool/simulate.ts';
import type { Mutant, Shows } from './parts.ts';

const optionsOf = ({ troubles, ...shows }: Shows): Partial<SimulationOptions> => ({
  ...shows,
  troubles: onlyTroubles(troubles),
});

const known = new Map<string, Promise<Simulated>>();

/** Without any bug; several are searched for under the same options. */
const inOrder = async (seed: number, options: Partial<SimulationOptions>): Promise<boolean> => {
  const key = JSON.stringify([seed, options]);
  const run = known.get(key) ?? simulate(seed, { turns: nodeTurns, options });
  known.set(key, run);
  return (await run).failure === undefined;
};

/** The first of so many seeds that a bug breaks and that is in order without it. */
export const search = async (
  { sabotage, shows }: Mutant,
  from: number,
  seedsMax: number,
): Promise<Simulated | undefined> => {
  // The bugs are in what pools have whose log is in no cluster, or in what all have.
  const options = { engine: 'primary', ...(shows !== undefined && optionsOf(shows)) } as const;
  for (let seed = from; seed < from + seedsMax; seed += 1) {
    const broken = await simulate(seed, { turns: nodeTurns, sabotage, options });
    if (broken.failure === undefined) continue;
    if (await inOrder(seed, options)) return broken;
  }
  return undefined;
};

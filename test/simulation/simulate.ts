import { nodeTurns } from '../../src/drivers/node/turns.ts';
import { onlyTroubles, type SimulationOptions, type Trouble } from '../../src/simulation/pool/options.ts';
import { type Simulated, simulate } from '../../src/simulation/pool/simulate.ts';
import { mutants } from './pool-mutants/mutants.ts';
import { search } from './pool-mutants/search.ts';

// `npm run simulate`: pools in virtual time, one for each seed. Options: `--seeds N` how many, `--from S` the
// first, `--for 150s` as many as there is time for, `--verbose` all steps of each, `--troubles crash,join` with
// these only; `--mutants` looks for a seed that notices each of the deliberate bugs.

const args = process.argv.slice(2);
const given = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
};

const number = (name: string, otherwise: number): number => {
  const text = given(name) ?? String(otherwise);
  if (!/^\d{1,15}$/.test(text)) throw new Error(`${name} wants a whole number, got ${text}`);
  return Number(text);
};

/** In milliseconds; `150s`, `3m` or a number of seconds. */
const duration = (text: string | undefined): number => {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const [, digits, unit] = /^(\d{1,6})(s|m)?$/.exec(text) ?? [];
  if (digits === undefined) throw new Error(`--for wants a time such as 150s or 3m, got ${text}`);
  return Number(digits) * (unit === 'm' ? 60_000 : 1_000);
};

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const stepsShown = 40;

const tell = ({ seed, failure, steps, digest, options }: Simulated): void => {
  if (failure === undefined) return;
  print(`\nseed ${seed} breaks a rule: ${failure.detail}`);
  print(`${options.hosts} hosts, engine ${options.engine}; the last steps:`);
  for (const step of steps.slice(-stepsShown)) print(`  ${step}`);
  print(`digest ${digest}`);
  print(`again: npm run simulate -- --seeds 1 --from ${seed} --verbose\n`);
};

/** Instead of what each seed says. */
const chosen = (): Partial<SimulationOptions> => {
  const names = given('--troubles')?.split(',');
  if (names === undefined) return {};
  const known = onlyTroubles([]);
  const unknown = names.find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined)
    throw new Error(`There is no trouble ${unknown}; there are ${Object.keys(known)}`);
  return { troubles: onlyTroubles(names as readonly Trouble[]), spares: names.includes('join') ? 1 : 0 };
};

const runSeeds = async (): Promise<number> => {
  const verbose = args.includes('--verbose');
  const forMs = duration(given('--for'));
  const from = number('--from', 1);
  const count = number('--seeds', forMs === Number.POSITIVE_INFINITY ? 10 : 1_000_000_000);
  const beganMs = performance.now();
  let longest = { ms: 0, seed: from, waitedFor: undefined as string | undefined };
  const total = { seeds: 0, failed: 0, virtualMs: 0, asked: 0, acknowledged: 0 };
  for (let seed = from; seed - from < count && performance.now() - beganMs < forMs; seed += 1) {
    const stepsKeptMax = verbose ? 5_000 : stepsShown;
    const simulated = await simulate(seed, { turns: nodeTurns, stepsKeptMax, options: chosen() });
    if (verbose) for (const step of simulated.steps) print(step);
    tell(simulated);
    const tookMs = simulated.rest?.tookMs ?? 0;
    if (tookMs > longest.ms) longest = { ms: tookMs, seed, waitedFor: simulated.rest?.waitedFor };
    total.seeds += 1;
    total.failed += simulated.failure === undefined ? 0 : 1;
    total.virtualMs += simulated.virtualMs;
    total.asked += simulated.asked;
    total.acknowledged += simulated.acknowledged;
  }
  const { seeds, failed, virtualMs, asked, acknowledged } = total;
  const took = Math.round((performance.now() - beganMs) / 1_000);
  print(
    `seeds ${from} to ${from + seeds - 1}: ${failed} of ${seeds} failed; ` +
      `${Math.round(virtualMs / 60_000)} min of pools in ${took} s, ${acknowledged} of ${asked} calls acknowledged`,
  );
  print(
    `the longest rest: ${Math.round(longest.ms / 1_000)} s, of seed ${longest.seed}: ${longest.waitedFor}`,
  );
  return failed;
};

/** Prints the first seed that notices each mutant; `--only N` one of them. */
const runMutants = async (): Promise<number> => {
  const from = number('--from', 1);
  const count = number('--seeds', 500);
  const only = given('--only');
  let missed = 0;
  for (const [index, mutant] of mutants.entries()) {
    if (only !== undefined && Number(only) !== index) continue;
    const beganMs = performance.now();
    const found = await search(mutant, from, count);
    const took = Math.round(performance.now() - beganMs);
    if (found === undefined) missed += 1;
    const noticed = found && `seed ${found.seed}, ${found.failure?.detail}`;
    print(`${index} ${mutant.name}: ${noticed ?? `not noticed in ${count} seeds`} (${took} ms)`);
  }
  return missed;
};

process.exitCode = (await (args.includes('--mutants') ? runMutants() : runSeeds())) === 0 ? 0 : 1;

import {
  countDisks,
  described,
  findRepositories,
  type Repository,
  type Run,
  type Scenario,
  Skipped,
  type SrScenario,
  suits,
  Unexpected,
} from './scenario.ts';
import { type Client, textIn } from './server.ts';

export interface Suite {
  readonly scenarios: readonly Scenario[];
  /** Run for each repository that has what they want. */
  readonly onRepositories: readonly SrScenario[];
}

export interface Chosen {
  /** Only scenarios whose name has one of these; all where there are none. */
  readonly only: readonly string[];
  readonly except: readonly string[];
  readonly guestActs?: string;
  readonly basic: string;
}

export type Outcome = 'passed' | 'failed' | 'skipped';

export type Counts = Record<Outcome, number>;

type Print = (line: string) => void;

const cleaned = async (cleaning: readonly (() => Promise<unknown>)[]): Promise<string | undefined> => {
  let failure: string | undefined;
  for (const clean of cleaning.toReversed()) {
    await clean().catch((error: unknown) => {
      failure ??= `could not clean up: ${said(error)}`;
    });
  }
  return failure;
};

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

type Given = Omit<Run, 'later'>;

const outcomeOf = async (
  run: (run: Run) => Promise<void>,
  given: Given,
): Promise<readonly [Outcome, string]> => {
  const cleaning: (() => Promise<unknown>)[] = [];
  const found = await run({ ...given, later: (clean) => void cleaning.push(clean) }).then(
    () => ['passed', ''] as const,
    (error: unknown) => [error instanceof Skipped ? 'skipped' : 'failed', said(error)] as const,
  );
  const left = await cleaned(cleaning);
  return left === undefined ? found : ['failed', [found[1], left].filter(Boolean).join('; ')];
};

const named = (scenario: string, { row, type }: Repository): string =>
  `${scenario} (${textIn(row, 'name_label') || textIn(row, 'uuid')}, ${type})`;

/** Each scenario, with the repositories that it is run on, one after the other. */
const steps = function* (
  { scenarios, onRepositories }: Suite,
  repositories: readonly Repository[],
): Generator<Scenario> {
  yield* scenarios;
  for (const { name, wanted, run } of onRepositories) {
    const fitting = repositories.filter((one) => suits(one, wanted));
    const skip = async (): Promise<void> => {
      throw new Skipped(`no repository ${described(wanted)}`);
    };
    if (fitting.length === 0) yield { name, run: skip };
    for (const one of wanted.any === true ? fitting.slice(0, 1) : fitting) {
      yield { name: named(name, one), run: (given) => run(given, one) };
    }
  }
};

/** Runs all that were chosen, prints a line for each, and compares what disks there are before and after. */
export const runAll = async (
  server: Client,
  suite: Suite,
  { only, except, ...chosen }: Chosen,
  print: Print,
): Promise<Counts> => {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const repositories = await findRepositories(server);
  const before = await countDisks(server, repositories);
  const tell = (outcome: Outcome, name: string, why: string): void => {
    counts[outcome] += 1;
    print(`${outcome.padEnd(8)}${name}${why === '' ? '' : `: ${why}`}`);
  };
  for (const { name, run } of steps(suite, repositories)) {
    if (only.length > 0 && !only.some((part) => name.includes(part))) continue;
    if (except.some((part) => name.includes(part))) continue;
    tell(...ordered(name, await outcomeOf(run, { server, repositories, ...chosen })));
  }
  const leftover = await outcomeOf(
    async () => {
      for (const [name, count] of await countDisks(server, repositories)) {
        const had = before.get(name) ?? 0;
        if (had !== count) throw new Unexpected(`${name} had ${had} disks and has ${count}`);
      }
    },
    { server, repositories, ...chosen },
  );
  tell(...ordered('no disk is left behind', leftover));
  return counts;
};

const ordered = (
  name: string,
  [outcome, why]: readonly [Outcome, string],
): readonly [Outcome, string, string] => [outcome, name, why];

/** A sorted copy's value at a fraction of the way, such as 0.5 for the median. */
export const quantile = (values: readonly number[], fraction: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
};

/** `median [least..most]`, as every figure is printed. */
export const spread = (values: readonly number[], digits = 0): string => {
  const [least, middle, most] = [Math.min(...values), quantile(values, 0.5), Math.max(...values)];
  return `${middle.toFixed(digits)} [${least.toFixed(digits)}..${most.toFixed(digits)}]`;
};

export const secondsOf = async (run: () => Promise<unknown>): Promise<number> => {
  const startMs = performance.now();
  await run();
  return (performance.now() - startMs) / 1000;
};

/** Runs `count` jobs, `atOnce` of them at the same time. */
export const inParallel = async (
  count: number,
  atOnce: number,
  job: (i: number, worker: number) => Promise<unknown>,
): Promise<void> => {
  let next = 0;
  const worker = async (number: number): Promise<void> => {
    for (let i = next++; i < count; i = next++) await job(i, number);
  };
  await Promise.all(Array.from({ length: atOnce }, (_, number) => worker(number)));
};

/** How a figure is held against its target. */
export interface Target {
  readonly name: string;
  readonly values: readonly number[];
  readonly digits?: number;
  readonly unit?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** One line: the figure, its target, and by how much it is missed where it is. */
export const verdict = ({ name, values, digits = 2, unit = '', atLeast, atMost }: Target): string => {
  const middle = quantile(values, 0.5);
  const target = atLeast ?? atMost ?? Number.NaN;
  const met = atLeast === undefined ? middle <= target : middle >= target;
  const wanted = `${atLeast === undefined ? 'at most' : 'at least'} ${target}${unit}`;
  const missed =
    target === 0 ? 'MISSED' : `MISSED by ${((Math.abs(middle - target) / target) * 100).toFixed(0)} %`;
  return `  ${name.padEnd(58)}${`${spread(values, digits)}${unit}`.padEnd(26)}${wanted.padEnd(16)}${met ? 'met' : missed}`;
};

/** A figure without a target. */
export const figure = (name: string, values: readonly number[], digits = 0, unit = ''): string =>
  `  ${name.padEnd(58)}${spread(values, digits)}${unit}`;

import type { CaseFile } from './cases.ts';
import { type Adapter, judge, skip, type Verdict } from './subject.ts';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Judged extends Tally {
  readonly subject: string;
  readonly verdicts: readonly Verdict[];
}

const unknownSubject: Adapter = () => skip('nothing here knows this subject');

/** Applies the cases of a subject one after the other. */
export const judgeSubject = async (
  { subject, cases }: CaseFile,
  adapter: Adapter = unknownSubject,
): Promise<Judged> => {
  const verdicts: Verdict[] = [];
  try {
    for (const one of cases) verdicts.push(await judge(adapter, one));
  } finally {
    await adapter.close?.();
  }
  const count = (kind: Verdict['kind']): number => verdicts.filter((one) => one.kind === kind).length;
  return { subject, verdicts, passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
};

export const total = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
  failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
  skipped: tallies.reduce((sum, { skipped }) => sum + skipped, 0),
});

export const tallyLine = (name: string, { passed, failed, skipped }: Tally): string =>
  `${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`;

/** Differences shown for one subject, and names for one reason. */
const shownMax = 5;
const lengthMax = 1_000;

const shorter = (text: string): string => (text.length > lengthMax ? `${text.slice(0, lengthMax)}...` : text);

const plain = (_: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return `${value}n`;
  return value instanceof Map ? { map: [...value] } : value;
};

const shown = (value: unknown): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value, plain);
  return shorter(text ?? String(value));
};

/** Some cases are named after what a client sends, line ends and all. */
const oneLine = (name: string): string => JSON.stringify(name).slice(1, -1);

/** The counts of a subject, why cases were skipped and the first differences. */
export const reportLines = (judged: Judged): readonly string[] => {
  const reasons = new Map<string, string[]>();
  for (const one of judged.verdicts) {
    if (one.kind === 'skipped') reasons.set(one.reason, [...(reasons.get(one.reason) ?? []), one.name]);
  }
  const skipped = [...reasons].map(([reason, names]) => {
    const rest = names.length > shownMax ? `, and ${names.length - shownMax} more` : '';
    return `  skipped ${names.length}: ${reason} (${names.slice(0, shownMax).map(oneLine).join('; ')}${rest})`;
  });
  const failed = judged.verdicts
    .flatMap((one) => (one.kind === 'failed' ? [one] : []))
    .slice(0, shownMax)
    .flatMap(({ name, found, expected }) => [
      `  failed: ${oneLine(name)}`,
      `    expected ${shown(expected)}`,
      `    found    ${shown(found)}`,
    ]);
  return [tallyLine(judged.subject, judged), ...skipped, ...failed];
};

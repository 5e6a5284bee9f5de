// Goal: the code does what every recorded case of every subject says.
// Method: each file of test/conformance/cases is put to the real code by the adapter of its subject.

import { expect, test } from 'vitest';
import { adapters } from './adapters.ts';
import { readCases, subjectsIn } from './cases.ts';
import { type Judged, judgeSubject, reportLines } from './report.ts';

test('every subject has an adapter, and every adapter a subject', () => {
  expect(subjectsIn()).toEqual([...adapters.keys()].toSorted());
});

const known = new Map<string, Promise<Judged>>();

const judge = (subject: string): Promise<Judged> => {
  const judged = known.get(subject) ?? judgeSubject(readCases(subject), adapters.get(subject));
  known.set(subject, judged);
  return judged;
};

test.for(subjectsIn())('%s', async (subject) => {
  const judged = await judge(subject);
  if (judged.skipped > 0) console.info(reportLines(judged).join('\n'));
  expect(
    reportLines({ ...judged, verdicts: judged.verdicts.filter(({ kind }) => kind === 'failed') }),
  ).toEqual([expect.stringMatching(/: \d+ passed, 0 failed, \d+ skipped$/)]);
});

test.for([
  'database_semantics',
  'event_semantics',
  'network_preconditions',
  'sessions_and_auth',
  'tasks',
  'vm_and_pool_scenarios',
])('%s comes out the same whatever its cases are called', async (subject) => {
  const { cases } = readCases(subject);
  const renamed = cases.map((one, i) => ({ ...one, name: `case ${i}` }));
  const judged = await judgeSubject({ subject, cases: renamed }, adapters.get(subject));
  const { passed, failed, skipped } = await judge(subject);
  expect(judged).toMatchObject({ passed, failed, skipped });
  expect(passed).toBeGreaterThan(0);
});

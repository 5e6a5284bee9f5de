// Goal: the code does what every recorded case of every subject says.
// Method: each file of test/conformance/cases is put to the real code by the adapter of its subject.

import { expect, test } from 'vitest';
import { adapters } from './adapters.ts';
import { readCases, subjectsIn } from './cases.ts';
import { judgeSubject, reportLines } from './report.ts';

test('every subject has an adapter, and every adapter a subject', () => {
  expect(subjectsIn()).toEqual([...adapters.keys()].toSorted());
});

test.for(subjectsIn())('%s', async (subject) => {
  const judged = await judgeSubject(readCases(subject), adapters.get(subject));
  if (judged.skipped > 0) console.info(reportLines(judged).join('\n'));
  expect(
    reportLines({ ...judged, verdicts: judged.verdicts.filter(({ kind }) => kind === 'failed') }),
  ).toEqual([expect.stringMatching(/: \d+ passed, 0 failed, \d+ skipped$/)]);
});

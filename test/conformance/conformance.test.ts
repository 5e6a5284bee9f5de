// Goal: the code does what every recorded case of every subject says.
// Method: each file of ../shared/conformance is put to the real code by the adapter of its subject.

import { expect, test } from 'vitest';
import { adapters } from './adapters.ts';
import { hasCases, readCases, subjectsIn } from './cases.ts';
import { judgeSubject, reportLines } from './report.ts';

const present = hasCases();

test.skipIf(!present)('every subject has an adapter (skipped without ../shared/conformance)', () => {
  expect(subjectsIn().filter((subject) => !adapters.has(subject))).toEqual([]);
});

test.for(present ? subjectsIn() : [])('%s', async (subject) => {
  const judged = await judgeSubject(readCases(subject), adapters.get(subject));
  if (judged.skipped > 0) console.info(reportLines(judged).join('\n'));
  expect(
    reportLines({ ...judged, verdicts: judged.verdicts.filter(({ kind }) => kind === 'failed') }),
  ).toEqual([expect.stringMatching(/: \d+ passed, 0 failed, \d+ skipped$/)]);
});

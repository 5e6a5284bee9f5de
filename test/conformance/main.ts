// `npm run conformance`: puts recorded cases of expected behaviour to the real code and counts how they end.
// Options: `--cases DIR`, a folder with one JSON file for each subject, and `--subject NAME`, one of them.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { casesFolder } from '../reference.ts';
import { adapters } from './adapters.ts';
import { hasCases, readCases, subjectsIn } from './cases.ts';
import { type Judged, judgeSubject, reportLines, tallyLine, total } from './report.ts';

const fail = (message: string): never => {
  console.error(message);
  process.exit(2);
};

const options = (): { readonly folder: string; readonly subjects: readonly string[] } => {
  const { values } = parseArgs({ options: { cases: { type: 'string' }, subject: { type: 'string' } } });
  const folder = values.cases === undefined ? casesFolder : resolve(values.cases);
  if (!hasCases(folder)) fail(`There is no folder ${folder}: name one that holds cases with --cases`);
  const known = subjectsIn(folder);
  if (values.subject === undefined) return { folder, subjects: known };
  if (!known.includes(values.subject)) {
    fail(`There is no subject ${values.subject} in ${folder}; there are ${known.join(', ')}`);
  }
  return { folder, subjects: [values.subject] };
};

const { folder, subjects } = options();
const all: Judged[] = [];
for (const subject of subjects) {
  const judged = await judgeSubject(readCases(subject, folder), adapters.get(subject));
  console.log(reportLines(judged).join('\n'));
  all.push(judged);
}
const sum = total(all);
console.log(tallyLine('total', sum));
// Scripts may leave sockets behind that still linger, and the answer is known.
process.exit(sum.failed > 0 ? 1 : 0);

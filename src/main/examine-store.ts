// A program of its own that reads a whole database: one that is damaged may take its process down, and this
// one can be spared. Its standard input says what fields are like, as JSON. Prints what it found as JSON;
// ends with 1 and a sentence, or by a signal, where it could not.
import { readFileSync } from 'node:fs';
import { jsonOf } from '../std/reader.ts';
import { examineStore } from '../store/examine.ts';
import type { Shapes } from '../store/shape.ts';

const standardInput = 0;
const shapes = jsonOf(readFileSync(standardInput, 'utf8'), 'what fields are like') as Shapes;

examineStore(process.argv[2] ?? '', shapes).then(
  (found) => {
    process.stdout.write(JSON.stringify(found));
    process.exit(0);
  },
  (error: unknown) => {
    process.stderr.write(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);

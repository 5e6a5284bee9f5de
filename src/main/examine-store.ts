// A program of its own that reads a whole database: one that is damaged may take its process down, and this
// one can be spared. Prints what it found as JSON; ends with 1 and a sentence, or by a signal, where it could
// not.
import { examineStore } from '../store/examine.ts';

examineStore(process.argv[2] ?? '').then(
  (found) => {
    process.stdout.write(JSON.stringify(found));
    process.exit(0);
  },
  (error: unknown) => {
    process.stderr.write(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// What other servers, clients and daemons were seen to do, as data: recorded cases, bytes and conversations.

/** The root of the tree, also for programs that were built into `dist`. */
const root = ((): string => {
  const here = fileURLToPath(new URL('../', import.meta.url));
  return here.endsWith('/dist/') ? fileURLToPath(new URL('../../', import.meta.url)) : here;
})();

/** One file for each subject of recorded behaviour. */
export const casesFolder = `${root}test/conformance/cases`;

/** The path of a file or a folder in `test/reference`. */
export const referencePath = (name: string): string => `${root}test/reference/${name}`;

export const referenceText = (name: string): string => readFileSync(referencePath(name), 'utf8');

export const referenceJson = <T>(name: string): T => JSON.parse(referenceText(name)) as T;

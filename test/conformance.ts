import { existsSync, readFileSync } from 'node:fs';

/** One case of expected behaviour, as recorded from the reference implementation. */
export interface ConformanceCase {
  readonly name: string;
  readonly given: Readonly<Record<string, any>>;
  readonly when: Readonly<Record<string, any>>;
  readonly then: Readonly<Record<string, any>>;
}

/** The cases of a file, or undefined where the recorded behaviour is not at hand: then tests skip. */
export const conformance = (file: string): readonly ConformanceCase[] | undefined => {
  const path = new URL(`../../shared/conformance/${file}`, import.meta.url);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).cases : undefined;
};

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { casesFolder } from '../reference.ts';

/** One case of expected behaviour. What stands in the three parts differs from subject to subject. */
export interface Case {
  readonly given: Readonly<Record<string, any>>;
  readonly when: Readonly<Record<string, any>>;
  readonly then: Readonly<Record<string, any>>;
}

/** What it is called is for people: code that a case is put to is never told. */
export interface NamedCase extends Case {
  readonly name: string;
}

/** A file of cases, named after its subject. */
export interface CaseFile {
  readonly subject: string;
  readonly cases: readonly NamedCase[];
}

export const hasCases = (folder = casesFolder): boolean => existsSync(folder);

/** Names of the subjects in a folder, in order; throws what the file system says where it cannot be read. */
export const subjectsIn = (folder = casesFolder): readonly string[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();

export const readCases = (subject: string, folder = casesFolder): CaseFile => {
  const path = join(folder, `${subject}.json`);
  const { cases } = JSON.parse(readFileSync(path, 'utf8'));
  if (!Array.isArray(cases)) throw new Error(`${path} has no list of cases`);
  return { subject, cases };
};

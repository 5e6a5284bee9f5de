import { type NamedCase, readCases } from './conformance/cases.ts';

/** The recorded cases of a subject, for a test that puts them to the code in its own way. */
export const conformance = (subject: string): readonly NamedCase[] => readCases(subject).cases;

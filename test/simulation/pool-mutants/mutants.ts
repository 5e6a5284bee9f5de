import { callMutants } from './calls.ts';
import { leadingMutants } from './leading.ts';
import { logMutants } from './log.ts';
import type { Mutant } from './parts.ts';

/** Deliberate bugs. A simulation that does not notice one of them does not look there. */
export const mutants: readonly Mutant[] = [...logMutants, ...leadingMutants, ...callMutants];

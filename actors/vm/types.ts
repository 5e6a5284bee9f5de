import { map, string, upTo } from '../../src/model/types.ts';

/** One variable of a UEFI firmware, as text: all Secure Boot keys may be in one. */
export const firmwareVariable = upTo(string, 524_288);
export const firmwareVariables = map(string, firmwareVariable);

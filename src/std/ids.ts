const uuidStart = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

/**
 * The uuid that a text begins with, in lower case; undefined when it begins with none. What follows the
 * uuid is ignored, as clients that add to it are known.
 */
export const uuidOf = (text: string): string | undefined => uuidStart.exec(text)?.[0].toLowerCase();

export type RefKind = 'null' | 'real' | 'dummy' | 'other';

/**
 * What a reference says of itself. `dummy`: of an object that was never made, such as the result of a trial
 * run. `other`: names of objects that somebody chose.
 */
export const refKind = (ref: string): RefKind => {
  if (ref === 'OpaqueRef:NULL') return 'null';
  if (ref.startsWith('OpaqueRef:')) return 'real';
  return /^DummyRef:\|[^|]*\|/.test(ref) ? 'dummy' : 'other';
};

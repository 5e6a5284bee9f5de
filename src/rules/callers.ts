import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { View } from '../store/view.ts';

// Which rows of callers a call is counted under. A pattern that ends with `*` is the beginning of a text, an
// empty one is any text, as `*` is.

export interface CallSource {
  readonly userAgent: string;
  readonly address: string;
}

type CallerRow = RecordNamed<'Caller'>;

/** How little a pattern says. */
const breadth = (pattern: string): 0 | 1 | 2 => {
  if (pattern === '' || pattern === '*') return 2;
  return pattern.endsWith('*') ? 1 : 0;
};

const fitsAnything = (pattern: string): boolean => breadth(pattern) === 2;

/** Both of one pattern are the same caller. */
export const samePattern = (a: string, b: string): boolean => a === b || (fitsAnything(a) && fitsAnything(b));

const fits = (pattern: string, text: string): boolean =>
  fitsAnything(pattern) || (pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern);

const ordered = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

const moreSpecific = (a: CallerRow, b: CallerRow): number => {
  const [agent, address] = [breadth(a.user_agent), breadth(a.client_ip)];
  const [otherAgent, otherAddress] = [breadth(b.user_agent), breadth(b.client_ip)];
  return (
    agent + address - otherAgent - otherAddress ||
    agent - otherAgent ||
    address - otherAddress ||
    ordered(a.user_agent, b.user_agent) ||
    ordered(a.client_ip, b.client_ip)
  );
};

/** Nobody can make such a caller, which would be one with every client. */
export const isEverybody = ({
  user_agent,
  client_ip,
}: Pick<CallerRow, 'user_agent' | 'client_ip'>): boolean =>
  fitsAnything(user_agent) && fitsAnything(client_ip);

/** Those that a call counts for, the most specific first. */
export const callersOf = (
  view: View,
  { userAgent, address }: CallSource,
): readonly (readonly [Ref<'Caller'>, CallerRow])[] => {
  const found: (readonly [Ref<'Caller'>, CallerRow])[] = [];
  for (const [ref, row] of view.all('Caller')) {
    if (isEverybody(row)) continue;
    if (fits(row.user_agent, userAgent) && fits(row.client_ip, address)) found.push([ref, row]);
  }
  return found.length < 2 ? found : found.sort(([, a], [, b]) => moreSpecific(a, b));
};

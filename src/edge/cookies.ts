export type Cookie = readonly [name: string, value: string];

/** Cookies of one request; a client has no reason to send more. */
export const cookiesMax = 64;

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
};

/** Pairs of a `Cookie` header as written, percent-decoded. Clients part them by `;` and by `&`. */
export const parseCookies = (header: string): readonly Cookie[] =>
  header
    .split(/[;&]/, cookiesMax)
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [decoded(pair), ''] : [decoded(pair.slice(0, at)), decoded(pair.slice(at + 1))];
    });

/**
 * The cookies that are meant. Libraries put blanks behind the separator or use a comma for one, which
 * leaves several cookies in one pair, and add attributes that begin with `$`.
 */
export const meantCookies = (pairs: readonly Cookie[]): readonly Cookie[] =>
  pairs
    .flatMap(([name, value]) => `${name}=${value}`.split(/[;,][ \t]*/))
    .flatMap((pair): readonly Cookie[] => {
      const at = pair.indexOf('=');
      const name = (at < 0 ? pair : pair.slice(0, at)).trim();
      return at < 0 || name.startsWith('$') ? [] : [[name, pair.slice(at + 1)]];
    });

/** The value of the first cookie of that name. */
export const cookieNamed = (header: string, name: string): string | undefined =>
  meantCookies(parseCookies(header)).find(([one]) => one === name)?.[1];

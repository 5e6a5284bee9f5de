/** Where a service is: a file or socket on this host, or a path on another. */
export type ServiceUrl =
  | { readonly scheme: 'file'; readonly file: string; readonly path: string; readonly query: Query }
  | {
      readonly scheme: 'http' | 'https';
      readonly host: string;
      readonly port: number | undefined;
      /** Whom to log in as there; missing where the URL names nobody. */
      readonly credentials?: { readonly user: string; readonly password: string };
      readonly path: string;
      readonly query: Query;
    };

type Query = readonly (readonly [name: string, value: string])[];

const form = /^(file|https?):(.*)$/s;
const onHost = /^\/\/(?:([^/?#@]*)@)?(\[[^\]]*\]|[^/?#:]+)(?::(\d{1,5}))?([^?#]*)/;

const queryOf = (text: string): Query => {
  const at = text.indexOf('?');
  return at < 0 ? [] : [...new URLSearchParams(text.slice(at + 1).replace(/#.*$/s, ''))];
};

/** Only the first colon splits, as passwords may hold more of them. */
const credentialsOf = (userinfo: string): { readonly user: string; readonly password: string } => {
  const at = userinfo.indexOf(':');
  return at < 0
    ? { user: plain(userinfo), password: '' }
    : { user: plain(userinfo.slice(0, at)), password: plain(userinfo.slice(at + 1)) };
};

/** A text with characters written as `%40`; one that is written wrongly is meant as it stands. */
const plain = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Undefined when the text is not such a URL. */
export const parseServiceUrl = (text: string): ServiceUrl | undefined => {
  const [, scheme, rest = ''] = form.exec(text) ?? [];
  const query = queryOf(rest);
  if (scheme === 'file') {
    const file = rest.replace(/^\/\/(?=\/)/, '').replace(/[?#].*$/s, '');
    return { scheme, file, path: '/', query };
  }
  const [, userinfo, host, port, path] = onHost.exec(rest) ?? [];
  if ((scheme !== 'http' && scheme !== 'https') || host === undefined) return undefined;
  return {
    scheme,
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : Number(port),
    ...(userinfo === undefined ? {} : { credentials: credentialsOf(userinfo) }),
    path: path === undefined || path === '' ? '/' : path,
    query,
  };
};

import type { HttpHead } from '../drivers/http/http.ts';
import { isHostName } from '../rules/host-names.ts';
import type { Store } from '../store/store.ts';

/** From which pages browsers may call, and by which names hosts are called. */
export interface Sites {
  /** Such as `https://panel.example`; `*` is any. */
  readonly allowedOrigins: readonly string[];
  /** Beside addresses, `localhost` and the names of the pool's hosts; `*` is any. */
  readonly hostNames: readonly string[];
}

/** A list as a flag gives it. */
export const listOf = (text: string | undefined): readonly string[] =>
  (text ?? '')
    .split(',')
    .map((one) => one.trim().toLowerCase())
    .filter((one) => one !== '');

/**
 * Why a request is not served that a browser may have sent for a page of another site: such a page borrows
 * cookies and passwords that the browser remembers, and by a name that resolves to this host it becomes a
 * page of ours. Programs send no `Origin`, and without cookie and password they borrow nothing.
 */
export const siteRefusal = (head: HttpHead, sites: Sites, store: Store): string | undefined => {
  const { origin, host, cookie, authorization, upgrade } = head.headers;
  if (origin === undefined && cookie === undefined && authorization === undefined && upgrade === undefined)
    return undefined;
  if (host !== undefined && !isKnownHost(nameOf(host), sites, store))
    return `This host is not known as ${host.slice(0, 100)}: use its address, or name it with --host-names`;
  if (origin === undefined || isOwn(origin, host) || allows(sites.allowedOrigins, origin)) return undefined;
  return `Pages of ${origin.slice(0, 100)} may not call this host: allow them with --allowed-origins`;
};

const allows = (allowed: readonly string[], one: string): boolean =>
  allowed.includes('*') || allowed.includes(one.toLowerCase());

/** The name or address of a `Host` header, without its port. */
const nameOf = (host: string): string => {
  const name = host.trim().toLowerCase();
  return name.startsWith('[')
    ? name.slice(1, name.indexOf(']'))
    : name.replace(/:\d*$/, '').replace(/\.$/, '');
};

/** No name that resolves to an address has a colon or ends in a number. */
const isAddress = (name: string): boolean => name.includes(':') || /^\d{1,3}(\.\d{1,3}){3}$/.test(name);

const isKnownHost = (name: string, { hostNames }: Sites, store: Store): boolean => {
  if (isAddress(name) || name === 'localhost' || name.endsWith('.localhost')) return true;
  if (allows(hostNames, name)) return true;
  return isHostName(store.committed, name);
};

/** The page is of the same host and port; a proxy before us may have ended its TLS. */
const isOwn = (origin: string, host: string | undefined): boolean => {
  if (host === undefined || !URL.canParse(origin)) return false;
  const page = new URL(origin);
  const asked = `${page.protocol}//${host.trim()}`;
  if (!/^https?:$/.test(page.protocol) || !URL.canParse(asked)) return false;
  return new URL(asked).host === page.host;
};

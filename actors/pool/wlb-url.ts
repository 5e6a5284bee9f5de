import { Fault } from '../../src/std/fault.ts';

/** Where a workload balancing server is: `host:port`, an IPv6 address in brackets. Throws WLB_URL_INVALID. */
export const parseWlbUrl = (url: string): { readonly host: string; readonly port: number } => {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(url) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new Fault('WLB_URL_INVALID', [url]);
  }
  return { host, port: Number(port) };
};

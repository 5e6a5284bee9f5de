import { Fault } from '../std/fault.ts';

/** The kinds of addresses that a parameter takes. */
export type AddressKind = 'ipv4' | 'ipv6' | 'ipv4or6';

const byte = /^(0|[1-9]\d{0,2})$/;

const isIpv4 = (address: string): boolean => {
  const bytes = address.split('.');
  return bytes.length === 4 && bytes.every((one) => byte.test(one) && Number(one) <= 255);
};

const group = /^[0-9a-f]{1,4}$/i;
const groupsMax = 8;

/** Groups of a part between or beside `::`; the last two may be written as an IPv4 address. */
const groupsOf = (part: string): number | undefined => {
  if (part === '') return 0;
  const words = part.split(':');
  const embedded = isIpv4(words.at(-1) ?? '');
  const plain = embedded ? words.slice(0, -1) : words;
  return plain.every((word) => group.test(word)) ? plain.length + (embedded ? 2 : 0) : undefined;
};

const isIpv6 = (address: string): boolean => {
  const parts = address.split('::');
  const [head, tail] = parts.map(groupsOf);
  if (head === undefined || parts.length > 2) return false;
  if (parts.length === 1) return head === groupsMax;
  // An embedded IPv4 address can only be the end.
  return tail !== undefined && !(parts[0] ?? '').includes('.') && head + tail < groupsMax;
};

/** An address without a zone: `fe80::1%eth0` means something on one host only. */
export const isAddress = (kind: AddressKind, address: string): boolean =>
  (kind !== 'ipv6' && isIpv4(address)) || (kind !== 'ipv4' && isIpv6(address));

const bits = (address: string): number => (isIpv4(address) ? 32 : 128);

/** An address and the length of its prefix: `192.168.0.0/16`. */
export const isCidr = (kind: AddressKind, cidr: string): boolean => {
  const [, address = '', length] = /^([^/]*)\/(\d{1,3})$/.exec(cidr) ?? [];
  return isAddress(kind, address) && Number(length) <= bits(address);
};

/** Throws INVALID_IP_ADDRESS_SPECIFIED with the name of the parameter. */
export const assertAddress = (kind: AddressKind, field: string, address: string): void => {
  if (!isAddress(kind, address)) throw new Fault('INVALID_IP_ADDRESS_SPECIFIED', [field]);
};

/** Throws INVALID_CIDR_ADDRESS_SPECIFIED with the name of the parameter. */
export const assertCidr = (kind: AddressKind, field: string, cidr: string): void => {
  if (!isCidr(kind, cidr)) throw new Fault('INVALID_CIDR_ADDRESS_SPECIFIED', [field]);
};

const portMax = 65_535n;

/** Throws VALUE_NOT_SUPPORTED unless it is a port of TCP or UDP. */
export const assertPort = (name: string, port: bigint): void => {
  if (port >= 1n && port <= portMax) return;
  throw new Fault('VALUE_NOT_SUPPORTED', [name, String(port), 'Port out of range']);
};

/** The same for the first and the last port of a range, each with its name. */
export const assertPorts = (first: readonly [string, bigint], last: readonly [string, bigint]): void => {
  assertPort(...first);
  assertPort(...last);
  if (last[1] >= first[1]) return;
  throw new Fault('VALUE_NOT_SUPPORTED', [last[0], String(last[1]), `${last[0]} smaller than ${first[0]}`]);
};

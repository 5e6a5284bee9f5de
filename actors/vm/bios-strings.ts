import { Fault } from '../../src/std/fault.ts';

/** What a guest reads over SMBIOS where nobody said otherwise. */
const defaults: Readonly<Record<string, string>> = {
  'bios-vendor': 'Xen',
  'bios-version': '',
  'system-manufacturer': 'Xen',
  'system-product-name': 'HVM domU',
  'system-version': '',
  'system-serial-number': '',
  'baseboard-manufacturer': '',
  'baseboard-product-name': '',
  'baseboard-version': '',
  'baseboard-serial-number': '',
  'baseboard-asset-tag': '',
  'baseboard-location-in-chassis': '',
  'enclosure-asset-tag': '',
  'hp-rombios': '',
  'oem-1': 'Xen',
  'oem-2': 'MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d',
};
const lengthMax = 512;
/** Only these are for clients to choose; the rest say whose virtual machine it is. */
const settable = Object.keys(defaults).filter((key) => !key.startsWith('oem-') && key !== 'hp-rombios');

const check = (key: string, value: string): void => {
  const refuse = (reason: string): never => {
    throw new Fault('INVALID_VALUE', [key, reason]);
  };
  if (!settable.includes(key)) refuse('Unknown key');
  if (value === '') refuse('Value provided is empty');
  if (value.length > lengthMax) refuse(`${value} has length more than ${lengthMax} characters`);
  if (!/^[\x20-\x7e]*$/.test(value)) refuse(`${value} has non-printable ASCII characters`);
};

/** All strings of a VM for the ones that were given. Throws a fault that names the first bad one. */
export const biosStrings = (given: ReadonlyMap<string, string>): ReadonlyMap<string, string> => {
  for (const [key, value] of given) check(key, value);
  return new Map(Object.entries(defaults).map(([key, value]) => [key, given.get(key) ?? value]));
};

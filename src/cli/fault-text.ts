import { asFault } from '../std/fault.ts';
import { faultCodes } from '../std/fault-codes.ts';
import { own } from '../std/own.ts';
import type { Api } from './command.ts';

/** What a fault says to people. */
const sentences: Readonly<Record<string, string>> = {
  HANDLE_INVALID: 'There is no such object: it was removed, or its reference is wrong.',
  HOST_IS_SLAVE: 'This host is a member of a pool: ask its coordinator.',
  HOST_NOT_ENOUGH_FREE_MEMORY: 'The host has too little memory left for the VM.',
  INTERNAL_ERROR: 'The server failed for a reason that its log may tell more of.',
  INVALID_VALUE: 'The value cannot be used here.',
  NOT_IMPLEMENTED: 'This server does not do that yet.',
  NO_HOSTS_AVAILABLE: 'No host can run the VM now.',
  OPERATION_BLOCKED: 'Somebody has blocked this operation by a setting of the object.',
  OPERATION_NOT_ALLOWED: 'The operation is not possible now.',
  OTHER_OPERATION_IN_PROGRESS: 'The object is busy with another operation.',
  RBAC_PERMISSION_DENIED: 'The role of this user does not allow it.',
  SESSION_INVALID: 'The session has ended.',
  SR_FULL: 'The storage repository has no room for it.',
  TOO_MANY_PENDING_TASKS: 'Too much is under way: wait until some of it has ended.',
  UUID_INVALID: 'No object of this kind has this uuid.',
  VALUE_NOT_SUPPORTED: 'The value is not supported here.',
  VDI_IN_USE: 'The disk is in use.',
  VM_BAD_POWER_STATE: 'The VM is not in a power state in which it can do that.',
  VM_IS_TEMPLATE: 'That cannot be done to a template.',
};

/** `VM_NO_SUSPEND_SR`: `VM no suspend SR.` */
const wordsOf = (code: string): string => {
  const words = code.split('_').map((word) => (kept.includes(word) ? word : word.toLowerCase()));
  const text = words.join(' ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
};
const kept = [
  ...['CBT', 'CPU', 'HA', 'HVM', 'IP', 'MAC', 'PBD', 'PIF', 'PV', 'SR', 'TLS', 'UUID', 'VBD', 'VDI', 'VIF'],
  ...['VM', 'VMSS', 'VTPM', 'WLB', 'XENAPI'],
];

/** The classes whose objects a parameter of a fault may name. */
const classesOf = (name: string): readonly string[] =>
  ['VM', 'host', 'SR', 'VDI', 'VBD', 'VIF', 'network', 'PIF', 'PBD', 'pool', 'task'].toSorted(
    (a, b) => Number(b.toLowerCase() === name.toLowerCase()) - Number(a.toLowerCase() === name.toLowerCase()),
  );

const described = async (name: string, value: string, api: Api | undefined): Promise<string> => {
  if (api === undefined || !value.startsWith('OpaqueRef:')) return value;
  for (const cls of classesOf(name)) {
    const uuid = await api.send(`${cls}.get_uuid`, value).catch(() => undefined);
    if (uuid === undefined) continue;
    const label = await api.send(`${cls}.get_name_label`, value).catch(() => undefined);
    return label === undefined ? uuid : `${uuid} (${label})`;
  }
  return value;
};

/**
 * A fault that is known: its sentence, then each parameter with its name. Any other, as one that a driver
 * chose: its code and parameters, for the client to show.
 */
export const faultText = async (
  error: unknown,
  api: Api | undefined,
): Promise<string | { readonly code: string; readonly params: readonly string[] }> => {
  const { code, params } = asFault(error);
  const names: readonly string[] | undefined = own(
    faultCodes as Readonly<Record<string, readonly string[]>>,
    code,
  );
  if (names === undefined) return { code, params };
  const lines = [own(sentences, code) ?? wordsOf(code)];
  for (const [i, value] of params.entries()) {
    const name = names[i] ?? '<extra>';
    lines.push(`${name}: ${await described(name, value, api)}`);
  }
  for (const name of names.slice(params.length)) lines.push(`${name}: <unknown>`);
  return `${lines.join('\n')}\n`;
};

/** The same on one line. */
export const faultLine = async (error: unknown, api: Api): Promise<string> => {
  const text = await faultText(error, api);
  return typeof text === 'string'
    ? text.trimEnd().replaceAll('\n', ' ')
    : `${text.code} ${text.params.join(', ')}`;
};

import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';

/** What a setting asks for is not to be had here, which the client can change: never an internal error. */
export const notSupported = (setting: string, value: string | number | bigint, why: string): XenopsError =>
  new XenopsError('Not_supported', [setting, String(value), why]);

/** The guest, or where the device sits, does not let it go. */
export const notReleased = (kind: 'VBD' | 'VIF' | 'VCPU', key: string, why: string): XenopsError =>
  new XenopsError('Device_detach_rejected', [kind, key, why]);

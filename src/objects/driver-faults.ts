import { XenopsError, type XenopsTag } from '../drivers/hypervisor/hypervisor.ts';
import { StorageError } from '../drivers/storage/storage.ts';
import { asFault, Fault, type FaultCode } from '../std/fault.ts';
import type { Value } from '../std/value.ts';

/** What a driver's error is about, for the faults that name it. */
export interface FaultContext {
  readonly ref: string;
  readonly task: string;
  /** Reference of the VM with this uuid. */
  readonly vmOf: (uuid: string) => string;
}

/** Every error that work can end with, as the client hears it. */
export const faultOf = (error: unknown, context: FaultContext): Fault => {
  if (error instanceof XenopsError) return xenopsFault(error, context);
  if (error instanceof StorageError) return Fault.foreign(error.code, error.params);
  return asFault(error);
};

const text = (value: Value | undefined): string =>
  Array.isArray(value) ? (value as readonly Value[]).map(text).join(', ') : String(value ?? '');

const lowerCase = (value: Value | undefined): string => text(value).toLowerCase();

type Mapping = (args: readonly Value[], context: FaultContext) => Fault;

const to =
  (code: FaultCode, params: (args: readonly Value[], context: FaultContext) => readonly string[]): Mapping =>
  (args, context) =>
    new Fault(code, params(args, context));

const all = (args: readonly Value[]): readonly string[] => args.map(text);

/** By the table of the xenopsd interface; note that found and expected power states change places. */
const mappings: Readonly<Partial<Record<XenopsTag, Mapping>>> = {
  Bad_power_state: to('VM_BAD_POWER_STATE', (args, { ref }) => [ref, lowerCase(args[1]), lowerCase(args[0])]),
  Failed_to_acknowledge_shutdown_request: to('VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT', (_, { ref }) => [ref]),
  Failed_to_acknowledge_suspend_request: to('VM_FAILED_SUSPEND_ACKNOWLEDGMENT', (_, { ref }) => [ref]),
  Failed_to_shutdown: to('VM_SHUTDOWN_TIMEOUT', (args, { ref }) => [ref, text(args[1])]),
  Failed_to_suspend: to('VM_SUSPEND_TIMEOUT', (args, { ref }) => [ref, text(args[1])]),
  Device_detach_rejected: to('DEVICE_DETACH_REJECTED', all),
  Device_is_connected: to('DEVICE_ALREADY_ATTACHED', (_, { ref }) => [ref]),
  Device_not_connected: to('DEVICE_ALREADY_DETACHED', (_, { ref }) => [ref]),
  Media_present: to('VBD_NOT_EMPTY', (_, { ref }) => [ref]),
  Media_not_present: to('VBD_IS_EMPTY', (_, { ref }) => [ref]),
  Media_not_ejectable: to('VBD_NOT_REMOVABLE_MEDIA', (_, { ref }) => [ref]),
  Bootloader_error: to('BOOTLOADER_FAILED', (args, { ref }) => [ref, text(args[1])]),
  Cannot_free_this_much_memory: to('HOST_NOT_ENOUGH_FREE_MEMORY', all),
  Not_enough_memory: to('HOST_NOT_ENOUGH_FREE_MEMORY', (args) => [text(args[0]), '0']),
  Vms_failed_to_cooperate: to('VMS_FAILED_TO_COOPERATE', (args, { vmOf }) =>
    (Array.isArray(args[0]) ? (args[0] as readonly Value[]) : args).map((uuid) => vmOf(text(uuid))),
  ),
  IO_error: to('VDI_IO_ERROR', () => ['Device I/O errors']),
  Failed_to_contact_remote_service: to('VM_MIGRATE_CONTACT_REMOTE_SERVICE_FAILED', () => []),
  Hook_failed: to('XAPI_HOOK_FAILED', all),
  Cancelled: to('TASK_CANCELLED', (_, { task }) => [task]),
  Not_supported: to('VALUE_NOT_SUPPORTED', all),
  Unimplemented: to('NOT_IMPLEMENTED', all),
  Failed_to_start_emulator: to('FAILED_TO_START_EMULATOR', (args, { ref }) => [ref, ...all(args).slice(1)]),
  Failed_to_run_script: to('XENAPI_PLUGIN_FAILURE', (args) => ['script', '', text(args[0])]),
};

const xenopsFault = (error: XenopsError, context: FaultContext): Fault => {
  if (error.tag === 'Storage_backend_error') {
    const params = Array.isArray(error.args[1]) ? (error.args[1] as readonly Value[]) : error.args.slice(1);
    return Fault.foreign(text(error.args[0]), params.map(text));
  }
  const mapping = mappings[error.tag];
  return mapping === undefined
    ? new Fault('INTERNAL_ERROR', [
        `The hypervisor daemon answered ${error.tag}(${all(error.args).join(', ')})`,
      ])
    : mapping(error.args, context);
};

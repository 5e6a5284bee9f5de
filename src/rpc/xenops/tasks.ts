// Tasks, updates and errors as rpclib writes them, both ways; `xenops-types.ts` says what readers take.

import { variantOf } from '../../codec/rpclib.ts';
import { type DeviceId, XenopsError, type XenopsTag } from '../../drivers/hypervisor/hypervisor.ts';
import { own } from '../../std/own.ts';
import {
  boolOf,
  floatOf,
  intOf,
  listOf,
  member,
  optionalMember,
  required,
  stringOf,
  tupleOf,
} from '../../std/reader.ts';
import { isStruct, type Struct, struct, type Value } from '../../std/value.ts';
import { deviceIdOf, numberOf } from './values.ts';

/** Every error of the interface and its arguments: s string, i integer, f float, l list of strings. */
const errorArguments: Readonly<Record<XenopsTag, string>> = {
  Already_exists: 'ss',
  Does_not_exist: 'ss',
  Unimplemented: 's',
  Domain_not_built: '',
  Invalid_vcpus: 'i',
  Bad_power_state: 'ss',
  Failed_to_acknowledge_shutdown_request: '',
  Failed_to_acknowledge_suspend_request: '',
  Failed_to_shutdown: 'sf',
  Failed_to_suspend: 'sf',
  Device_is_connected: '',
  Device_not_connected: '',
  Device_detach_rejected: 'sss',
  // Ours: other daemons have no such error.
  Not_supported: 'sss',
  Media_not_ejectable: '',
  Media_present: '',
  Media_not_present: '',
  No_bootable_device: '',
  Bootloader_error: 'ss',
  Cannot_free_this_much_memory: 'ii',
  Vms_failed_to_cooperate: 'l',
  IO_error: '',
  Failed_to_contact_remote_service: 's',
  Hook_failed: 'ssss',
  Not_enough_memory: 'i',
  Cancelled: 's',
  Storage_backend_error: 'sl',
  PCIBack_not_loaded: '',
  Failed_to_run_script: 's',
  Failed_to_start_emulator: 'sss',
  Ballooning_timeout_before_migration: '',
  Internal_error: 's',
  Unknown_error: '',
};
const errorTags = new Map(
  (Object.keys(errorArguments) as XenopsTag[]).map((tag) => [tag.toLowerCase(), tag]),
);

const argumentOf: Readonly<Record<string, (value: Value, what: string) => Value>> = {
  s: stringOf,
  i: intOf,
  f: floatOf,
  l: listOf,
};

export const errorValue = ({ tag, args }: XenopsError): Value => {
  if (args.length === 0) return tag;
  return [tag, errorArguments[tag].length === 1 ? (args[0] as Value) : args];
};

/** A tag that is not known is an `Unknown_error`, as for every reader of the interface. */
export const xenopsErrorOf = (value: Value): XenopsError => {
  const { tag: given, payload } = variantOf(value, 'an error');
  const tag = errorTags.get(given.toLowerCase());
  if (tag === undefined) return new XenopsError('Unknown_error', []);
  const kinds = errorArguments[tag];
  if (kinds === '') return new XenopsError(tag, []);
  const args = kinds.length === 1 ? [payload ?? ''] : tupleOf(payload ?? [], kinds.length, tag);
  return new XenopsError(
    tag,
    args.map((arg, index) => (own(argumentOf, kinds[index] ?? '') ?? stringOf)(arg, tag)),
  );
};

// Task.t

export type XenopsTaskState =
  | { readonly kind: 'Pending'; readonly progress: number }
  | { readonly kind: 'Completed'; readonly durationS: number; readonly result: Value | undefined }
  | { readonly kind: 'Failed'; readonly error: XenopsError };

export interface XenopsTask {
  readonly id: string;
  readonly debugInfo: string;
  /** Seconds since 1970. */
  readonly ctime: number;
  readonly state: XenopsTaskState;
  readonly cancellable: boolean;
  readonly pointsSeen: number;
}

const taskStateValue = (state: XenopsTaskState): Value => {
  switch (state.kind) {
    case 'Pending':
      return ['Pending', state.progress];
    case 'Completed':
      return ['Completed', struct({ duration: state.durationS, result: state.result })];
    case 'Failed':
      return ['Failed', errorValue(state.error)];
  }
};

export const taskValue = (task: XenopsTask): Struct =>
  struct({
    id: task.id,
    dbg: task.debugInfo,
    ctime: task.ctime,
    state: taskStateValue(task.state),
    subtasks: new Map(),
    debug_info: new Map([['cancel_points_seen', String(task.pointsSeen)]]),
    backtrace: '()',
    cancellable: task.cancellable,
  });

const taskStateOf = (value: Value): XenopsTaskState => {
  const { tag, payload = null } = variantOf(value, 'the state of a task');
  switch (tag.toLowerCase()) {
    case 'pending':
      return { kind: 'Pending', progress: floatOf(payload, 'progress') };
    case 'completed':
      return {
        kind: 'Completed',
        durationS: required(payload, 'duration', floatOf),
        result: optionalMember(payload, 'result'),
      };
    case 'failed':
      return { kind: 'Failed', error: xenopsErrorOf(payload) };
    default:
      return { kind: 'Failed', error: new XenopsError('Internal_error', [`a task is in the state ${tag}`]) };
  }
};

export const taskOf = (value: Value): XenopsTask => {
  const notes = optionalMember(value, 'debug_info');
  const points = isStruct(notes) ? notes.get('cancel_points_seen') : undefined;
  return {
    id: required(value, 'id', stringOf),
    debugInfo: required(value, 'dbg', stringOf),
    ctime: required(value, 'ctime', floatOf),
    state: taskStateOf(member(value, 'state')),
    cancellable: boolOf(optionalMember(value, 'cancellable') ?? true, 'cancellable'),
    pointsSeen: points === undefined ? 0 : numberOf(points, 'cancel_points_seen'),
  };
};

// What UPDATES.get answers

/** The name of something that changed; what it is now has to be asked for. */
export type XenopsUpdate =
  | readonly ['Vm', string]
  | readonly ['Task', string]
  | readonly ['Vbd', DeviceId]
  | readonly ['Vif', DeviceId];

export interface XenopsUpdates {
  readonly barriers: readonly { readonly id: number; readonly updates: readonly XenopsUpdate[] }[];
  readonly updates: readonly XenopsUpdate[];
  /** The `lastId` to ask with next. */
  readonly next: number;
}

/** No two objects share it. */
export const updateKey = ([kind, id]: XenopsUpdate): string =>
  typeof id === 'string' ? `${kind}/${id}` : `${kind}/${id[0]}/${id[1]}`;

export const updatesValue = (found: XenopsUpdates): Value => [
  found.barriers.map(({ id, updates }) => [BigInt(id), updates]),
  found.updates,
  BigInt(found.next),
];

/** Kinds of objects that nobody here watches, such as PCI devices, are left out. */
const updatesOf = (value: Value): readonly XenopsUpdate[] =>
  listOf(value, 'updates').flatMap((each): readonly XenopsUpdate[] => {
    const { tag, payload = '' } = variantOf(each, 'an update');
    switch (tag.toLowerCase()) {
      case 'vm':
        return [['Vm', stringOf(payload, 'the id of a VM')]];
      case 'task':
        return [['Task', stringOf(payload, 'the id of a task')]];
      case 'vbd':
        return [['Vbd', deviceIdOf(payload)]];
      case 'vif':
        return [['Vif', deviceIdOf(payload)]];
      default:
        return [];
    }
  });

export const xenopsUpdatesOf = (value: Value): XenopsUpdates => {
  const [barriers = [], updates = [], next = 0n] = tupleOf(value, 3, 'updates');
  return {
    barriers: listOf(barriers, 'barriers').map((barrier) => {
      const [id = 0n, pending = []] = tupleOf(barrier, 2, 'a barrier');
      return { id: numberOf(id, 'a barrier'), updates: updatesOf(pending) };
    }),
    updates: updatesOf(updates),
    next: Number(intOf(next, 'the next update')),
  };
};

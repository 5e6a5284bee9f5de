import { readJson } from '../../codec/jsonrpc-reader.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { xenopsErrorOf } from '../../rpc/xenops/tasks.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { floatOf, intOf, listOf, member, optionalMember, stringOf, structOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';

/**
 * What simulated guests take time for or fail at. `send` is a guest's way to
 * another host, `receive` and `arrive` are the two ends of its way from one. The last two are what a guest
 * does when it is asked.
 */
export const simOperations = [
  'start',
  'unpause',
  'pause',
  'poweroff',
  'reboot',
  'destroy',
  'suspend',
  'resume',
  'plug',
  'unplug',
  'medium',
  'overlay',
  'mirror',
  'grow',
  'move',
  'set',
  'ask',
  'send',
  'receive',
  'arrive',
  'guest-poweroff',
  'guest-reboot',
] as const;

export type SimOperation = (typeof simOperations)[number];

/**
 * From a JSON file such as
 * `{"delaysMs": {"start": 5}, "faults": [{"operation": "start", "times": 1, "error": ["IO_error"]}]}`.
 */
export interface SimConfig {
  readonly delaysMs?: Readonly<Partial<Record<SimOperation, number>>>;
  readonly faults?: readonly SimFault[];
}

/** Happens to the next `times` operations of the kind, of one VM or of any. */
export interface SimFault {
  readonly operation: SimOperation;
  readonly vm?: string;
  readonly times: number;
  /** An error of the xenopsd interface; `Internal_error` when it is left out. */
  readonly error?: XenopsError;
}

/** The same, to be changed while it runs. */
export interface SimRules {
  readonly delaysMs: Partial<Record<SimOperation, number>>;
  readonly faults: SimFault[];
}

export const FAULTS_MAX = 1_000;

const operationOf = (name: string): SimOperation => {
  const found = simOperations.find((each) => each === name);
  if (found === undefined) {
    throw new DecodeFailure(
      `Expected an operation, one of ${simOperations.join(', ')}, got "${name.slice(0, 40)}"`,
    );
  }
  return found;
};

const faultOf = (value: Value): SimFault => {
  const vm = optionalMember(value, 'vm');
  const error = optionalMember(value, 'error');
  return {
    operation: operationOf(stringOf(member(value, 'operation'), 'operation')),
    times: Number(intOf(optionalMember(value, 'times') ?? 1n, 'times')),
    ...(vm === undefined ? {} : { vm: stringOf(vm, 'vm') }),
    ...(error === undefined ? {} : { error: errorOf(error) }),
  };
};

/** A tag alone, or a tag and its arguments: `["Bad_power_state", ["Running", "Halted"]]`. */
const errorOf = (value: Value): XenopsError =>
  xenopsErrorOf(Array.isArray(value) && value.length === 1 ? (value[0] as Value) : value);

/** Throws a `DecodeFailure` that says what is wrong with the file. */
export const readSimConfig = (text: string): SimConfig => {
  const value = readJson(text);
  const delays = structOf(optionalMember(value, 'delaysMs') ?? new Map(), 'delaysMs');
  const faults = listOf(optionalMember(value, 'faults') ?? [], 'faults');
  if (faults.length > FAULTS_MAX) throw new DecodeFailure(`Expected at most ${FAULTS_MAX} faults`);
  return {
    delaysMs: Object.fromEntries(
      [...delays].map(([name, delay]) => [operationOf(name), floatOf(delay, name)]),
    ),
    faults: faults.map(faultOf),
  };
};

/** The fault that is due, which is used up by one. */
export const takeFault = (faults: SimFault[], operation: SimOperation, vm: string): SimFault | undefined => {
  const at = faults.findIndex((fault) => fault.operation === operation && (fault.vm ?? vm) === vm);
  const fault = faults[at];
  if (fault === undefined) return undefined;
  if (fault.times > 1) faults[at] = { ...fault, times: fault.times - 1 };
  else faults.splice(at, 1);
  return fault;
};

export type GuestAct = 'poweroff' | 'reboot' | 'crash';

/**
 * The commands of DEBUG.trigger: `guest-poweroff|guest-reboot|guest-crash VM`, `set-delay OPERATION MS`
 * and `add-fault OPERATION TIMES TAG [VM]`. False for any other.
 */
export const simTrigger = (
  command: string,
  args: readonly string[],
  rules: SimRules,
  act: (vm: string, what: GuestAct) => void,
): boolean => {
  const [first = '', second = '', third = '', vm] = args;
  switch (command) {
    case 'guest-poweroff':
    case 'guest-reboot':
    case 'guest-crash':
      act(first, command.slice('guest-'.length) as GuestAct);
      return true;
    case 'set-delay':
      rules.delaysMs[operationOf(first)] = floatOf(second, 'the delay');
      return true;
    case 'add-fault': {
      if (rules.faults.length >= FAULTS_MAX)
        throw new XenopsError('Internal_error', ['too many faults are set']);
      const times = Number(intOf(second, 'times'));
      const error = xenopsErrorOf(third === '' ? 'Internal_error' : third);
      rules.faults.push({ operation: operationOf(first), times, error, ...(vm === undefined ? {} : { vm }) });
      return true;
    }
    default:
      return false;
  }
};

import { isDeepStrictEqual } from 'node:util';
import { vmRefusal } from '../../actors/vm/admission.ts';
import { type Operation, runsBeside } from '../../actors/vm/operations.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Case } from './cases.ts';
import { admitting, argumentsFor, asked, compared, messagesFor, putRows } from './scripts/admitting.ts';
import type { Live } from './scripts/live.ts';
import { type Adapter, against } from './subject.ts';
import { type Rows, rowsOfCase, withRefs } from './vm-rows.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;

/** Tables that leave out the kind of a guest mean the kind that most of them name. */
const given = (one: Case): Rows =>
  rowsOfCase({
    ...one.given,
    ...(one.given['domain_type'] === undefined ? {} : { 'VM.domain_type': one.given['domain_type'] }),
  });

const told = new Set<string>();

const isFirst = (what: readonly unknown[]): boolean => told.size < told.add(what.join(' ')).size;

/** `either`: the answer is the same whether or not the client insists, which few messages give a way to. */
export const vmOperation: Adapter = admitting(async (at, one) => {
  const rows = given(one);
  await putRows(at, rows);
  const { operation, strict } = one.when;
  const found: Record<string, unknown> = {};
  if (strict !== false) {
    found['VM.assert_operation_valid'] = await asked(at, 'VM.assert_operation_valid', [vm, operation]);
  }
  for (const message of messagesFor(at, 'VM', operation)) {
    // Each message is told of each reason once: the question is what goes through all states.
    if (!isFirst([message.method, one.then['error']?.[0], strict])) continue;
    const args = argumentsFor(rows, message);
    if (strict !== false) found[message.method] = await asked(at, message.method, args);
    const last = args.length - 1;
    if (message.params[last]?.name !== 'options' || strict === true) continue;
    const insisting = args.with(last, new Map([['force', 'true']]));
    found[`${message.method} force=true`] = await asked(at, message.method, insisting);
  }
  if (Object.keys(found).length > 0) return compared(found, () => withRefs(one.then));
  // No message gives a client a way to insist on it.
  const refusal = vmRefusal(at.host.world.store.committed, vm, operation, false);
  return refusal === undefined ? { allowed: true } : { allowed: false, error: refusal };
});

export const vmAllowed: Adapter = admitting(async (at, one) => {
  await putRows(at, given(one));
  await at.tried('VM.update_allowed_operations', vm);
  const found = await at.tried('VM.get_allowed_operations', vm);
  return against([...(found as string[])].sort(), [...one.then['VM.allowed_operations (as a set)']].sort());
});

/** VMs of which one or another may begin each operation, while nothing else goes on. */
const kinds: readonly Record<string, unknown>[] = [
  {},
  { 'VM.is_a_template': true },
  { 'VM.is_a_snapshot': true, 'VM.is_a_template': true },
  { 'VM.other_config': { is_system_domain: 'true' } },
].flatMap((kind) =>
  ['Halted', 'Running', 'Paused', 'Suspended'].map((state) => ({ ...kind, 'VM.power_state': state })),
);

const vmOfKind = (kind: number): string => `OpaqueRef:vm${kind}`;

/** One of each kind, all busy with the same; the cases of one such state follow each other. */
const vmsBusyWith = (running: readonly string[]): Rows => {
  if (isDeepStrictEqual(running, busy.with)) return busy.rows;
  const current = Object.fromEntries(running.map((one, i) => [`OpaqueRef:task${i}`, one]));
  const all = kinds.map((kind, i) => {
    const { VM = {} } = rowsOfCase({ ...kind, 'VM.current_operations': current, 'VM.metrics': null });
    return [vmOfKind(i), { ...VM[vm], VBDs: [], VIFs: [], guest_metrics: nullRef }];
  });
  busy = { with: running, rows: { VM: Object.fromEntries(all) } };
  return busy.rows;
};

let busy: { readonly with: readonly string[]; readonly rows: Rows } = { with: ['nothing yet'], rows: {} };

/** By operation: the kind that may begin it, if one may. */
const suited = new Map<string, number | undefined>();

const suitable = async (at: Live, operation: string): Promise<number | undefined> => {
  if (suited.has(operation)) return suited.get(operation);
  await putRows(at, vmsBusyWith([]));
  let found: number | undefined;
  for (let kind = 0; kind < kinds.length && found === undefined; kind += 1) {
    const answer: any = await asked(at, 'VM.assert_operation_valid', [vmOfKind(kind), operation]);
    if (answer.allowed) found = kind;
  }
  suited.set(operation, found);
  return found;
};

/** In a VM that may begin the operation: only what goes on already can be in its way. */
export const vmBeside: Adapter = admitting(async (at, { given, when, then }) => {
  const operation = when['operation'];
  const kind = await suitable(at, operation);
  const running: readonly Operation[] = given['VM.current_operations'];
  // No VM ever may, so that it cannot be asked of any.
  if (kind === undefined) return { allowed_concurrently: runsBeside(operation, running) };
  await putRows(at, vmsBusyWith(running));
  const answer: any = await asked(at, 'VM.assert_operation_valid', [vmOfKind(kind), operation]);
  const code = answer.allowed ? 'none' : answer.error[0];
  return against(code, then['allowed_concurrently'] === true ? 'none' : 'OTHER_OPERATION_IN_PROGRESS');
});

import { vmAllowedOperations, vmRefusal } from '../../actors/vm/admission.ts';
import { runsBeside } from '../../actors/vm/operations.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Case } from './cases.ts';
import { type Adapter, against } from './subject.ts';
import { rowsOfCase, viewOfRows, withRefs } from './vm-rows.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;

/** Tables that leave out the kind of a guest mean the kind that most of them name. */
const given = (one: Case): Record<string, any> => ({
  ...one.given,
  ...(one.given['domain_type'] === undefined ? {} : { 'VM.domain_type': one.given['domain_type'] }),
});

/** `either`: the answer is the same whether or not the client insists. */
export const vmOperation: Adapter = (one) => {
  const view = viewOfRows(rowsOfCase(given(one)));
  const asked: readonly boolean[] = one.when['strict'] === 'either' ? [true, false] : [one.when['strict']];
  const found = asked.map((strict) => {
    const refusal = vmRefusal(view, vm, one.when['operation'], strict);
    return refusal === undefined ? { allowed: true } : { allowed: false, error: refusal };
  });
  return against(
    found,
    asked.map(() => withRefs(one.then)),
  );
};

export const vmAllowed: Adapter = (one) => {
  const view = viewOfRows(rowsOfCase(given(one)));
  const found = vmAllowedOperations(view, vm, view.require('VM', vm));
  return against([...found].sort(), [...one.then['VM.allowed_operations (as a set)']].sort());
};

export const vmBeside: Adapter = ({ given, when }) => ({
  allowed_concurrently: runsBeside(when['operation'], given['VM.current_operations']),
});

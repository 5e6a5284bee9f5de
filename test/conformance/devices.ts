import { vbdAllowedOperations, vbdRefusal } from '../../actors/vbd/admission.ts';
import { vifRefusal } from '../../actors/vif/admission.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Adapter, against } from './subject.ts';
import { rowsOfCase, viewOfRows, withRefs } from './vm-rows.ts';

const vbd = 'OpaqueRef:vbd' as Ref<'VBD'>;
const vif = 'OpaqueRef:vif' as Ref<'VIF'>;

const answer = (refusal: readonly string[] | undefined, then: unknown): unknown =>
  against(refusal === undefined ? { allowed: true } : { allowed: false, error: refusal }, withRefs(then));

/** A row is about one operation, or about all that are listed. */
export const vbdOperation: Adapter = ({ given, when, then }) => {
  const view = viewOfRows(rowsOfCase(given));
  if (when['call'] === undefined) return answer(vbdRefusal(view, vbd, when['operation']), then);
  const found = vbdAllowedOperations(view, vbd, view.require('VBD', vbd));
  return against([...found].sort(), [...then['VBD.allowed_operations (as a set)']].sort());
};

export const vifOperation: Adapter = ({ given, when, then }) =>
  answer(vifRefusal(viewOfRows(rowsOfCase(given)), vif, when['operation']), then);

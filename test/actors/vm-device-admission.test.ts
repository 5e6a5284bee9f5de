// Goal: operations of drives and network cards are admitted, refused and listed as clients expect.
// Method: tables of expected answers, each put to the pure functions with rows made from its description.

import { expect, test } from 'vitest';
import { vbdAllowedOperations, vbdRefusal } from '../../actors/vbd/admission.ts';
import { vifRefusal } from '../../actors/vif/admission.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Case, conformance, rowsOfCase, viewOfRows, withRefs } from './vm-rows.ts';

const vbd = 'OpaqueRef:vbd' as Ref<'VBD'>;
const vif = 'OpaqueRef:vif' as Ref<'VIF'>;

const differing = (cases: readonly Case[], found: (one: Case) => unknown): readonly unknown[] =>
  cases.flatMap((one) => {
    const [is, should] = [found(one), expectedOf(one)];
    return JSON.stringify(is) === JSON.stringify(should) ? [] : [{ name: one.name, is, should }];
  });

const expectedOf = ({ then }: Case): unknown => {
  if (then['allowed'] === true) return 'allowed';
  return withRefs(then['error'] ?? [...then['VBD.allowed_operations (as a set)']].sort());
};

test('Drives are plugged, emptied and filled only when that can work', (context) => {
  const cases = conformance('vbd_operation_table');
  context.skip(cases === undefined, '../shared/conformance/vbd_operation_table.json is not there');
  const wrong = differing(cases ?? [], ({ given, when }) => {
    const view = viewOfRows(rowsOfCase(given));
    if (when['call'] !== undefined)
      return [...vbdAllowedOperations(view, vbd, view.require('VBD', vbd))].sort();
    return vbdRefusal(view, vbd, when['operation']) ?? 'allowed';
  });
  expect(wrong).toEqual([]);
});

test('Network cards are plugged and unplugged only when that can work', (context) => {
  const cases = conformance('vif_operation_table');
  context.skip(cases === undefined, '../shared/conformance/vif_operation_table.json is not there');
  const wrong = differing(cases ?? [], ({ given, when }) => {
    return vifRefusal(viewOfRows(rowsOfCase(given)), vif, when['operation']) ?? 'allowed';
  });
  expect(wrong).toEqual([]);
});

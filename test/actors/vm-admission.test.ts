// Goal: an operation of a VM is admitted or refused exactly as XenAPI clients expect, and listed likewise.
// Method: tables of expected answers, each put to the pure function with rows made from its description.

import { describe, expect, test } from 'vitest';
import { vmAllowedOperations, vmRefusal } from '../../actors/vm/admission.ts';
import { runsBeside } from '../../actors/vm/operations.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Case, conformance, rowsOfCase, viewOfRows, withRefs } from './vm-rows.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;

const answer = ({ given, when }: Case, strict: boolean): unknown => {
  const refusal = vmRefusal(viewOfRows(rowsOfCase(given)), vm, when['operation'], strict);
  return refusal === undefined ? { allowed: true } : { allowed: false, error: refusal };
};

const mistakes = (name: string, wrong: (one: Case) => unknown): readonly unknown[] =>
  (conformance(name) ?? []).flatMap((one) => wrong(one) ?? []);

const table =
  (name: string) =>
  (sentence: string, run: () => void): void => {
    test(sentence, (context) => {
      context.skip(conformance(name) === undefined, `../shared/conformance/${name}.json is not there`);
      run();
    });
  };

describe('VM operations', () => {
  for (const name of ['vm_operation_table', 'vm_operations_in_progress']) {
    table(name)(`are refused with the first reason that applies, as in ${name}`, () => {
      const wrong = mistakes(name, (one) => {
        const expected = withRefs(one.then);
        const asked = one.when['strict'] === 'either' ? [true, false] : [one.when['strict']];
        return asked.flatMap((strict) => {
          const found = answer(one, strict);
          try {
            expect(found).toEqual(expected);
            return [];
          } catch {
            return [{ name: one.name, strict, found, expected }];
          }
        });
      });
      expect(wrong).toEqual([]);
    });
  }

  table('vm_allowed_operations')('are listed when they would be admitted', () => {
    const wrong = mistakes('vm_allowed_operations', (one) => {
      const view = viewOfRows(rowsOfCase(one.given));
      const found = [...vmAllowedOperations(view, vm, view.require('VM', vm))].sort();
      const expected = [...one.then['VM.allowed_operations (as a set)']].sort();
      return String(found) === String(expected) ? undefined : { name: one.name, found, expected };
    });
    expect(wrong).toEqual([]);
  });

  table('vm_concurrent_operations')('run beside each other only where they may', () => {
    const wrong = mistakes('vm_concurrent_operations', ({ name, given, when, then }) =>
      runsBeside(when['operation'], given['VM.current_operations']) === then['allowed_concurrently']
        ? undefined
        : { name, then },
    );
    expect(wrong).toEqual([]);
  });
});

// Goal: a repository admits, refuses and lists exactly the operations of the recorded tables.
// Method: rows are made as each case describes them, and the admission function is asked.

import { describe, expect, test } from 'vitest';
import { allowedOnSr, srRefusal } from '../../../actors/sr/admission.ts';
import { casesOf, sr, viewOf } from '../storage-cases.ts';

const table = casesOf('sr_operation_table.json');
const allowed = casesOf('sr_allowed_operations.json');

describe.skipIf(table === undefined)('operations of a repository (needs ../shared)', () => {
  test.each(table ?? [])('$name', async ({ given, when, then }) => {
    const fault = srRefusal(await viewOf(given, false), sr, when['operation']);
    expect(fault === undefined ? undefined : [fault.code, ...fault.params]).toEqual(then['error']);
  });
});

describe.skipIf(allowed === undefined)('allowed operations of a repository (needs ../shared)', () => {
  test.each(allowed ?? [])('$name', async ({ given, then }) => {
    const listed = allowedOnSr(await viewOf(given, false), sr);
    expect([...listed].sort()).toEqual([...Object.values(then)[0]].sort());
  });
});

// Goal: a disk admits, refuses and lists exactly the operations of the recorded tables.
// Method: rows are made as each case describes them, and the admission function is asked.

import { describe, expect, test } from 'vitest';
import { allowedOnVdi, vdiRefusal } from '../../../actors/vdi/admission.ts';
import { casesOf, vdi, viewOf } from '../storage-cases.ts';

const table = casesOf('vdi_operation_table.json');
const allowed = casesOf('vdi_allowed_operations.json');

describe.skipIf(table === undefined)('operations of a disk (needs ../shared)', () => {
  test.each(table ?? [])('$name', async ({ given, when, then }) => {
    const fault = vdiRefusal(await viewOf(given, true), vdi, when['operation']);
    expect(fault === undefined ? undefined : [fault.code, ...fault.params]).toEqual(then['error']);
  });
});

describe.skipIf(allowed === undefined)('allowed operations of a disk (needs ../shared)', () => {
  test.each(allowed ?? [])('$name', async ({ given, then }) => {
    const listed = allowedOnVdi(await viewOf(given, true), vdi);
    expect([...listed].sort()).toEqual([...Object.values(then)[0]].sort());
  });
});

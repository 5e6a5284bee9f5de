import { parseFeatures } from '../../actors/sm/features.ts';
import { allowedOnSr, srRefusal } from '../../actors/sr/admission.ts';
import { allowedOnVdi, vdiRefusal } from '../../actors/vdi/admission.ts';
import type { Fault } from '../../src/std/fault.ts';
import { sr, vdi, viewOf } from './storage-rows.ts';
import { type Adapter, against, listed } from './subject.ts';

const answer = (fault: Fault | undefined): unknown =>
  fault === undefined ? { allowed: true } : { allowed: false, error: listed(fault) };

const asSet = (found: readonly string[], then: Readonly<Record<string, any>>, cls: string): unknown =>
  against([...found].sort(), [...then[`${cls}.allowed_operations (as a set)`]].sort());

export const srOperation: Adapter = async ({ given, when }) =>
  answer(srRefusal(await viewOf(given, false), sr, when['operation']));

export const srAllowed: Adapter = async ({ given, then }) =>
  asSet(allowedOnSr(await viewOf(given, false), sr), then, 'SR');

export const vdiOperation: Adapter = async ({ given, when }) =>
  answer(vdiRefusal(await viewOf(given, true), vdi, when['operation']));

export const vdiAllowed: Adapter = async ({ given, then }) =>
  asSet(allowedOnVdi(await viewOf(given, true), vdi), then, 'VDI');

export const smFeatures: Adapter = ({ when }) => ({
  'parsed (sorted, unknown dropped, duplicates merged)': [...parseFeatures(when['features'])].map(
    ([name, version]) => [name, Number(version)],
  ),
});

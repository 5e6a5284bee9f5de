import { Fault, type FaultCode } from '../std/fault.ts';

/**
 * A fault before it is one. `allowed_operations` asks about every operation in every commit and throws
 * the answers away, so they must not cost a stack trace each.
 */
export type Refusal = readonly [code: FaultCode, ...params: string[]];

export const faultFrom = (refusal: Refusal | undefined): Fault | undefined => {
  if (refusal === undefined) return undefined;
  const [code, ...params] = refusal;
  return new Fault(code, params);
};

export const demand = (refusal: Refusal | undefined): void => {
  const fault = faultFrom(refusal);
  if (fault !== undefined) throw fault;
};

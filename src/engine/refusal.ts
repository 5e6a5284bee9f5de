import { Fault } from '../std/fault.ts';

/** Something about the engine is not done; the text says why and what to do. */
export const refusal = (text: string): Fault => new Fault('OPERATION_NOT_ALLOWED', [text]);

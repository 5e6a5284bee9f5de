import type { faultCodes } from './fault-codes.ts';

export type FaultCode = keyof typeof faultCodes;

/**
 * An answer for the client: a code of the XenAPI and its parameters. Anything else that is thrown is
 * a bug, is logged with its stack and reaches the client as INTERNAL_ERROR.
 */
export class Fault extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: FaultCode, params: readonly string[] = []) {
    // An answer needs no stack, and taking one is dearer than most calls: `allowed_operations` makes many.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(`${code}(${params.join(', ')})`);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Fault';
    this.code = code;
    this.params = params;
  }

  /** A fault whose code a plugin or a daemon chose, such as SR_BACKEND_FAILURE_46. */
  static foreign(code: string, params: readonly string[]): Fault {
    const fault = new Fault('INTERNAL_ERROR', params);
    return Object.assign(fault, { code, message: `${code}(${params.join(', ')})` });
  }
}

/** What the client hears of anything that was thrown. */
export const asFault = (error: unknown): Fault =>
  error instanceof Fault
    ? error
    : new Fault('INTERNAL_ERROR', [error instanceof Error ? error.message : String(error)]);

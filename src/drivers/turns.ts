/** The turns of this process's event loop, for whoever must know that nothing is ready to run any more. */
export interface Turns {
  /** Resolves in the next turn, with everything done that was ready in this one. */
  next(): Promise<void>;
  /** How much was put off to a next turn and has not run. */
  waiting(): number;
}

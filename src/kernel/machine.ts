/**
 * An actor is a function from its state and a message to its next state and the effects it wants.
 * Steps are synchronous; effects are performed in order, in the same turn, by whoever owns the shell.
 */
export type Step<S, Fx> = readonly [next: S, ...effects: Fx[]];

export type StateMachine<S, M, Fx> = (state: S, message: M) => Step<S, Fx>;

import type { ArgsOf, ResultOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Handler } from '../../src/objects/implement.ts';
import type { Tx } from '../../src/store/view.ts';
import type { VM } from './class.ts';
import type { Operation } from './operations.ts';

type Messages = (typeof VM)['messages'];
type Answer<K extends keyof Messages> = Handler<'VM', ArgsOf<Messages[K]>, ResultOf<Messages[K]>>;

/** Handlers of some of the class's messages, to be put together in its behaviour. */
export type VmHandlers = { readonly [K in keyof Messages]?: Answer<K> };

/** A change of rows that is admitted as `operation` and waits for others to end. */
export const changing = <A>(
  operation: Operation,
  make: (tx: Tx, self: Ref<'VM'>, args: A) => void,
): Handler<'VM', A, void> => ({
  operation,
  offline: true,
  work: async ({ self, settle }, args) => settle((tx) => make(tx, self, args)),
});

/** A setting that nothing else depends on. */
export const setting = <A>(make: (tx: Tx, self: Ref<'VM'>, args: A) => void): Handler<'VM', A, void> => ({
  decide: ({ tx, self }, args) => make(tx, self as Ref<'VM'>, args),
});

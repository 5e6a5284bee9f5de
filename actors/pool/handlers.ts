import type { ArgsOf, ResultOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Handler } from '../../src/objects/implement.ts';
import type { View } from '../../src/store/view.ts';
import type { pool } from './class.ts';

type Messages = (typeof pool)['messages'];
type Answer<K extends keyof Messages> = Handler<'pool', ArgsOf<Messages[K]>, ResultOf<Messages[K]>>;

/** Handlers of some of the class's messages, to be put together in its behaviour. */
export type PoolHandlers = { readonly [K in keyof Messages]?: Answer<K> };

/** The row of what is asked of the pool without naming it. */
export const onPool = (_: unknown, view: View): Ref<'pool'> => view.only('pool')[0];

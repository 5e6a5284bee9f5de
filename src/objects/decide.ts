import type { ClassName } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Tx } from '../store/view.ts';
import { classOf, handlerArgs, selfOf, subjectOf, withoutSelf } from './arguments.ts';
import { implicitDecision } from './fields.ts';
import { assertAllowed } from './holdings.ts';
import type { Deciding } from './implement.ts';
import type { DecideHandler, Invocation, InvokerOptions } from './invocation.ts';
import { succeedTask } from './tasks.ts';

/** Runs a decision in the turn of the object that it is for: one commit, or none when it throws. */
export const decide = (
  { catalog, store, objects, services }: InvokerOptions,
  invocation: Invocation,
  handler: DecideHandler | undefined,
): Promise<unknown> => {
  const { message, args, caller, watched, task } = invocation;
  const self = selfOf(message, args);
  const run = handler === undefined ? byField(invocation) : byHandler(invocation, handler);
  const row = subjectOf(handler, message, args, store.latest);
  const make = (tx: Tx): unknown => {
    if (message.hasSelf) tx.require(message.cls.name as ClassName, self as Ref<any>);
    const result = run({ tx, self, caller, services });
    if (message.hasSelf) assertAllowed(tx, message.cls, self);
    const made = message.result.kind === 'ref' ? store.schemas.get(message.result.of ?? '') : undefined;
    if (made !== undefined) assertAllowed(tx, made.cls, result as Ref);
    // A task that outlives the call settles in the very commit that it is about.
    if (watched === 'until-destroyed' && task !== undefined) {
      succeedTask(tx, task, services, catalog.encoderOf(message.result).xml(result));
    }
    return result;
  };
  return objects.turn(classOf(catalog, store.latest, message, row), row, () => store.commit(make));
};

type Decision = (deciding: Deciding) => unknown;

const byHandler = ({ message, args }: Invocation, handler: DecideHandler): Decision => {
  const given = handlerArgs(message, args);
  return (deciding) => handler.decide(deciding, given);
};

/** A setter, an adder or a remover is done as its field says. */
const byField = ({ message, args }: Invocation): Decision => {
  const implicit = implicitDecision(message);
  if (implicit === undefined) throw new Fault('NOT_IMPLEMENTED', [message.method]);
  return (deciding) => implicit(deciding, withoutSelf(message, args));
};

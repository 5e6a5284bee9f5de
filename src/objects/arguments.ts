import type { ClassName } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { View } from '../store/view.ts';
import type { Catalog } from './catalog.ts';
import { readConstructor } from './fields.ts';
import type { AnyHandler } from './implement.ts';

/** The object that a call is for; the null reference where the message is not for one. */
export const selfOf = (message: WireMessage, args: readonly unknown[]): Ref =>
  (message.hasSelf ? args[0] : nullRef) as Ref;

export const withoutSelf = (message: WireMessage, args: readonly unknown[]): readonly unknown[] =>
  message.hasSelf ? args.slice(1) : args;

/** What a handler is given: the arguments by name, or the record of a constructor. */
export const handlerArgs = (message: WireMessage, args: readonly unknown[]): unknown => {
  if (message.kind === 'constructor') return readConstructor(message.cls, args[0] as never);
  const params = message.hasSelf ? message.params.slice(1) : message.params;
  const values = withoutSelf(message, args);
  return Object.fromEntries(params.map(({ name }, i) => [name, values[i]]));
};

/**
 * The row that a call is for: the one that its handler names, `self`, or the `host` that it names as the one
 * to do it.
 */
export const subjectOf = (
  handler: AnyHandler | undefined,
  message: WireMessage,
  args: readonly unknown[],
  view: View,
): Ref => {
  if (handler?.on !== undefined) return handler.on(handlerArgs(message, args) as never, view);
  if (message.hasSelf) return args[0] as Ref;
  const host = message.params.findIndex(({ name, type }) => name === 'host' && type.of === 'host');
  return (args[host] ?? nullRef) as Ref;
};

/** The class of the row that a message is for, which its handler may have named by `on`. */
export const classOf = (catalog: Catalog, view: View, message: WireMessage, on: Ref): ClassName => {
  const own = message.cls.name as ClassName;
  const holds = (cls: ClassName): boolean => view.get(cls, on as Ref<any>) !== undefined;
  if (on === nullRef || holds(own)) return own;
  return (catalog.classes.find(({ name }) => holds(name as ClassName))?.name ?? own) as ClassName;
};

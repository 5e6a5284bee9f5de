import { type EncoderOf, encodersOf } from '../codec/typed.ts';
import type { AnyClass } from '../model/class.ts';
import { type WireMessage, wireActions, wireMessages } from '../model/derive.ts';
import { own } from '../std/own.ts';
import type { AnyHandler, Behaviour } from './implement.ts';

/** Every message that can be asked for, by its wire name, with the class that answers it. */
export interface Catalog {
  readonly classes: readonly AnyClass[];
  /** In the order of `system.listMethods`. */
  readonly messages: readonly WireMessage[];
  /** What is asked for by HTTP beside calls. */
  readonly actions: readonly WireMessage[];
  /** By `put_import`. */
  action(name: string): WireMessage | undefined;
  /** By `VM.start` or by the older spelling `VM_start`. */
  find(method: string): WireMessage | undefined;
  behaviour(cls: string): Behaviour | undefined;
  handler(message: WireMessage): AnyHandler | undefined;
  /** How results are written. */
  readonly encoderOf: EncoderOf;
}

export const catalogOf = (classes: readonly AnyClass[], behaviours: readonly Behaviour<any>[]): Catalog => {
  const messages = classes.flatMap(wireMessages);
  const byName = new Map(messages.map((message) => [message.method, message]));
  for (const message of messages) byName.set(`${message.cls.name}_${message.name}`, message);
  const actions = classes.flatMap(wireActions);
  const byAction = new Map(actions.map((message) => [message.name, message]));
  const byClass = new Map<string, Behaviour>(behaviours.map((one) => [one.cls.name, one]));
  for (const { cls, handlers } of behaviours) {
    for (const name of Object.keys(handlers)) {
      if (!byName.has(`${cls.name}.${name}`) && byAction.get(name)?.cls !== cls)
        throw new Error(`${cls.name} handles ${name}, which it does not declare`);
    }
  }
  return {
    classes,
    messages,
    actions,
    action: (name) => byAction.get(name),
    find: (method) => byName.get(method),
    behaviour: (cls) => byClass.get(cls),
    handler: (message) => own(byClass.get(message.cls.name)?.handlers ?? {}, message.name),
    encoderOf: encodersOf(classes),
  };
};

import type { AnyClass } from '../model/class.ts';
import { constructorFields, type WireMessage, wireMessages } from '../model/derive.ts';
import type { Type } from '../model/types.ts';
import type { Command, CommandRun, Selects } from './command.ts';
import type { Listed } from './fields.ts';
import { chosenRows, onEach } from './selectors.ts';
import { apiValue, resultTexts } from './values.ts';

/** A command that is one call: where its arguments come from, and the rest is what the message declares. */
export interface OneCall extends Pick<Command, 'standard' | 'hidden' | 'selects'> {
  readonly name: string;
  /** `VDI.resize`. */
  readonly calls: string;
  /**
   * `argument=parameter` of each, blanks between: `network=network-uuid mac=mac? config=device-config:`. One
   * that ends in `?` may be left out, with what follows as its value then; `:` takes keys.
   */
  readonly args?: string;
  /** The parameter that names the object; absent: `uuid`. */
  readonly self?: string;
  /** Parameters that are taken and mean nothing here. */
  readonly ignores?: readonly string[];
  readonly any?: true;
  /** The object is the pool, which nobody names. */
  readonly ofPool?: true;
}

export const oneCall = (name: string, calls: string, args = '', more: Partial<OneCall> = {}): OneCall => ({
  ...{ name, calls, args },
  ...more,
});

/** An argument of the call and the parameter that it comes from. */
interface Argument {
  readonly name: string;
  readonly param: string;
  readonly kind: 'required' | 'optional' | 'keys';
  readonly otherwise: string | undefined;
}

const argumentOf = (word: string): Argument => {
  const at = word.indexOf('=');
  const name = word.slice(0, at);
  const given = word.slice(at + 1);
  if (given.endsWith(':')) return { name, param: given.slice(0, -1), kind: 'keys', otherwise: undefined };
  const [param = '', otherwise] = given.split('?');
  const kind = otherwise === undefined ? 'required' : 'optional';
  return { name, param, kind, otherwise: otherwise === '' ? undefined : otherwise };
};

/** Throws where a call or an argument of it is not declared. */
export const commandOfCall = (
  spec: OneCall,
  messages: ReadonlyMap<string, WireMessage>,
  classes: readonly Listed[],
): Command => {
  const message = messages.get(spec.calls);
  if (message === undefined) throw new Error(`${spec.name} calls ${spec.calls}, which nobody declares`);
  const args = (spec.args ?? '')
    .split(' ')
    .filter((word) => word !== '')
    .map(argumentOf);
  const types = typesOf(message);
  for (const { name } of args)
    if (!types.has(name)) throw new Error(`${spec.calls} has no argument ${name} for ${spec.name}`);
  const named = message.hasSelf && spec.selects === undefined && spec.ofPool === undefined;
  const self = named ? [spec.self ?? 'uuid'] : [];
  const command = {
    name: spec.name,
    doc: message.declared?.doc ?? `Calls ${spec.calls}.`,
    required: [
      ...new Set([...self, ...args.filter(({ kind }) => kind === 'required').map(({ param }) => param)]),
    ],
    optional: [
      ...args
        .filter(({ kind }) => kind !== 'required')
        .map(({ param, kind }) => (kind === 'keys' ? `${param}:` : param)),
      ...(spec.ignores ?? []),
    ],
    ...(spec.selects !== undefined && { selects: spec.selects }),
    ...(spec.standard !== undefined && { standard: spec.standard }),
    ...(spec.hidden !== undefined && { hidden: spec.hidden }),
  };
  return { ...command, run: (run) => perform(run, { spec, message, args, types, classes, command }) };
};

interface Performing {
  readonly spec: OneCall;
  readonly message: WireMessage;
  readonly args: readonly Argument[];
  readonly types: ReadonlyMap<string, Type<unknown>>;
  readonly classes: readonly Listed[];
  readonly command: { readonly selects?: Selects };
}

/** What each argument is, or each field of the object that is made. */
const typesOf = ({ kind, cls, params }: WireMessage): ReadonlyMap<string, Type<unknown>> =>
  kind === 'constructor'
    ? new Map(constructorFields(cls).map(([name, { type }]) => [name, type]))
    : new Map(params.map(({ name, type }) => [name, type]));

const perform = async (run: CommandRun, performing: Performing): Promise<void> => {
  const { spec, message, classes, command } = performing;
  const given = await argumentsOf(run, performing);
  const act = async (self: unknown): Promise<void> => {
    const args = message.params.map(({ name, type, defaultValue }, i) =>
      i === 0 && message.hasSelf ? self : (given.get(name) ?? defaultValue ?? type.empty),
    );
    const result = await run.api.send(spec.calls, ...(message.kind === 'constructor' ? [given] : args));
    const texts = await resultTexts(run.api, result, message.result);
    if (message.result.kind !== 'void') await run.print.list(texts);
  };
  if (spec.selects !== undefined) {
    const rows = await chosenRows(run, { classes, command, ...(spec.any && { any: true }) });
    return onEach(run, rows, ({ ref }) => act(ref));
  }
  if (!message.hasSelf) return act(undefined);
  await act(await selfOf(run, spec, message));
};

const selfOf = async ({ api, params }: CommandRun, spec: OneCall, { cls }: WireMessage): Promise<unknown> => {
  if (spec.ofPool) return ((await api.send('pool.get_all')) as readonly string[])[0];
  return api.send(`${cls.name}.get_by_uuid`, params.need(spec.self ?? 'uuid'));
};

const argumentsOf = async (
  { api, params }: CommandRun,
  { args, types, message }: Performing,
): Promise<ReadonlyMap<string, unknown>> => {
  const given = new Map<string, unknown>();
  for (const { name, param, kind, otherwise } of args) {
    const type = types.get(name) as Type<unknown>;
    if (kind === 'keys') {
      const keys = params.map(param);
      given.set(name, type.kind === 'set' ? [...keys.keys()] : keys);
      continue;
    }
    const text = params.get(param) ?? otherwise;
    if (text !== undefined) given.set(name, await apiValue(api, param, text, type));
  }
  if (message.kind !== 'constructor') return given;
  for (const [name, field] of constructorFields(message.cls))
    if (!given.has(name) && field.default === undefined) given.set(name, field.type.empty);
  return given;
};

export const messagesOf = (classes: readonly AnyClass[]): ReadonlyMap<string, WireMessage> =>
  new Map(classes.flatMap(wireMessages).map((message) => [message.method, message]));

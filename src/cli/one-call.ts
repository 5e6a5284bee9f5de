import type { AnyClass } from '../model/class.ts';
import { constructorFields, type WireMessage, wireMessages } from '../model/derive.ts';
import type { Type } from '../model/types.ts';
import type { Command, CommandRun, Selects } from './command.ts';
import { assertForced, loaded } from './confirm.ts';
import type { Listed } from './fields.ts';
import { poolRef } from './lookup.ts';
import { chosenRows, onEach } from './selectors.ts';
import { called } from './tasks.ts';
import { apiValue, resultPairs, resultTexts } from './values.ts';

/** A command that is one call: where its arguments come from, and the rest is what the message declares. */
export interface OneCall extends Pick<Command, 'standard' | 'hidden' | 'local' | 'selects'> {
  readonly name: string;
  /** `VDI.resize`. */
  readonly calls: string;
  /**
   * `argument=parameter` of each, blanks between: `network=network-uuid mac=mac? config=device-config:`. One
   * that ends in `?` may be left out, with what follows as its value then; `:` takes keys. Of a file that the
   * parameter names, `@` is the content and `/` the name without its folders.
   */
  readonly args?: string;
  /**
   * The parameter that names the object; absent: `uuid`. With a `?` after it the object is this host or the
   * pool where it is left out, and with nothing before it always.
   */
  readonly self?: string;
  /** Parameters that are taken and mean nothing here. */
  readonly ignores?: readonly string[];
  /** Parameters that must be there beside those that the call needs. */
  readonly needs?: readonly string[];
  /** Templates and snapshots may be chosen as well. */
  readonly any?: true;
  /** No more than one can be chosen. */
  readonly single?: true;
  /** Refused without `force`. */
  readonly forced?: true;
  /** The answer is shown as one record. */
  readonly table?: true;
}

export const oneCall = (name: string, calls: string, args = '', more: Partial<OneCall> = {}): OneCall => ({
  ...{ name, calls, args },
  ...more,
});

// What rows of the tables say alike.
export const onHost = { selects: 'host' } as const;
export const onlyHost = { selects: 'host', single: true } as const;
export const forced = { forced: true } as const;
export const hidden = { hidden: true } as const;

/** An argument of the call and the parameter that it comes from. */
interface Argument {
  readonly name: string;
  readonly param: string;
  readonly from: 'text' | 'keys' | 'content' | 'file-name';
  readonly isOptional: boolean;
  readonly otherwise: string | undefined;
}

const argumentOf = (word: string): Argument => {
  const [, name = '', sort = '', param = '', rest = ''] = /^(\w+)=([@/]?)([^?:]+)(.*)$/.exec(word) ?? [];
  if (rest === ':') return { name, param, from: 'keys', isOptional: true, otherwise: undefined };
  const from = sort === '@' ? 'content' : sort === '/' ? 'file-name' : 'text';
  const otherwise = rest.slice(1) === '' ? undefined : rest.slice(1);
  return { name, param, from, isOptional: rest !== '', otherwise };
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
  const chosen = chosenArgument(spec.selects, types);
  if (spec.selects !== undefined && chosen === undefined)
    throw new Error(`${spec.calls} takes no ${spec.selects} for ${spec.name}`);
  const self = message.hasSelf && message.params[0]?.name !== chosen ? (spec.self ?? 'uuid') : undefined;
  const needed = args.filter(({ isOptional }) => !isOptional).map(({ param }) => param);
  const others = args.filter(({ isOptional }) => isOptional);
  const command = {
    name: spec.name,
    doc: message.declared?.doc ?? `Calls ${spec.calls}.`,
    required: [
      ...new Set([...(self === undefined || self.endsWith('?') ? [] : [self]), ...needed]),
      ...(spec.needs ?? []),
    ],
    optional: [
      ...(self?.endsWith('?') && self !== '?' ? [self.slice(0, -1)] : []),
      ...others.map(({ param, from }) => (from === 'keys' ? `${param}:` : param)),
      ...(spec.ignores ?? []),
      ...(spec.forced ? ['force'] : []),
    ],
    ...(spec.selects !== undefined && { selects: spec.selects }),
    ...(spec.standard !== undefined && { standard: spec.standard }),
    ...(spec.hidden !== undefined && { hidden: spec.hidden }),
    ...(spec.local !== undefined && { local: spec.local }),
  };
  return {
    ...command,
    run: (run) => perform(run, { spec, message, args, types, classes, command, self, chosen }),
  };
};

/** The argument that is the object that was chosen. */
const chosenArgument = (
  selects: Selects | undefined,
  types: ReadonlyMap<string, Type<unknown>>,
): string | undefined => {
  if (selects === undefined) return undefined;
  const cls = { vm: 'VM', host: 'host', sr: 'SR' }[selects];
  return [...types].find(([, type]) => type.kind === 'ref' && type.of === cls)?.[0];
};

interface Performing {
  readonly spec: OneCall;
  readonly message: WireMessage;
  readonly args: readonly Argument[];
  readonly types: ReadonlyMap<string, Type<unknown>>;
  readonly classes: readonly Listed[];
  readonly command: { readonly selects?: Selects };
  /** As in `OneCall`; absent where the object is chosen, or there is none. */
  readonly self: string | undefined;
  readonly chosen: string | undefined;
}

/** What each argument is, or each field of the object that is made. */
const typesOf = ({ kind, cls, params }: WireMessage): ReadonlyMap<string, Type<unknown>> =>
  kind === 'constructor'
    ? new Map(constructorFields(cls).map(([name, { type }]) => [name, type]))
    : new Map(params.map(({ name, type }) => [name, type]));

const perform = async (run: CommandRun, performing: Performing): Promise<void> => {
  const { spec, message, classes, command, self, chosen } = performing;
  if (spec.forced) assertForced(run);
  const given = await argumentsOf(run, performing);
  const act = async (object?: string): Promise<void> => {
    const all = object === undefined || chosen === undefined ? given : new Map([...given, [chosen, object]]);
    const args = message.params.map(
      ({ name, type, defaultValue }) => all.get(name) ?? defaultValue ?? type.empty,
    );
    const { result } = message;
    if (result.kind === 'void' && message.async) return called(run, spec.calls, ...args);
    const value = await run.api.send(spec.calls, ...(message.kind === 'constructor' ? [all] : args));
    if (spec.table) await run.print.table([await resultPairs(run.api, value, result)]);
    else if (result.kind !== 'void') await run.print.list(await resultTexts(run.api, value, result));
  };
  if (self !== undefined) given.set(message.params[0]?.name ?? '', await selfOf(run, self, message));
  if (spec.selects === undefined) return act();
  const { any, single } = spec;
  const rows = await chosenRows(run, { classes, command, ...(any && { any }), ...(single && { single }) });
  await onEach(run, rows, ({ ref }) => act(ref));
};

const selfOf = async ({ api, params }: CommandRun, self: string, { cls }: WireMessage): Promise<unknown> => {
  const param = self.replace('?', '');
  const uuid = param === self ? params.need(param) : params.get(param);
  if (uuid !== undefined) return api.send(`${cls.name}.get_by_uuid`, uuid);
  if (cls.name === 'host') return api.host;
  return poolRef(api);
};

const argumentsOf = async (
  run: CommandRun,
  { args, types, message }: Performing,
): Promise<Map<string, unknown>> => {
  const { api, params } = run;
  const given = new Map<string, unknown>();
  for (const { name, param, from, otherwise } of args) {
    const type = types.get(name) as Type<unknown>;
    if (from === 'keys') {
      const keys = params.map(param);
      given.set(name, type.kind === 'set' ? [...keys.keys()] : keys);
      continue;
    }
    const text = params.get(param) ?? otherwise;
    if (text === undefined) continue;
    if (from === 'content') given.set(name, (await loaded(run, text, text)).toString('utf8'));
    else if (from === 'file-name') given.set(name, text.slice(text.lastIndexOf('/') + 1));
    else given.set(name, await apiValue(api, param, text, type));
  }
  if (message.kind !== 'constructor') return given;
  for (const [name, field] of constructorFields(message.cls))
    if (!given.has(name) && field.default === undefined) given.set(name, field.type.empty);
  return given;
};

export const messagesOf = (classes: readonly AnyClass[]): ReadonlyMap<string, WireMessage> =>
  new Map(classes.flatMap(wireMessages).map((message) => [message.method, message]));

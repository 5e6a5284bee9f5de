import type { AnyHandler, Behaviour } from '../../objects/implement.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { SeededRandom } from '../random.ts';
import type { Rule } from './trouble-file.ts';

/** Rules that are in force, and can be replaced while calls go on. */
export interface Troubles {
  replace(rules: readonly Rule[]): void;
  readonly rules: readonly Rule[];
  /** Delays a call and throws the fault that a rule has for it. */
  meet(method: string, host: string, signal?: AbortSignal): Promise<void> | undefined;
  /** The same for what takes no time: delays are left out. */
  meetNow(method: string, host: string): void;
}

interface Used {
  readonly rule: Rule;
  seen: number;
  done: number;
}

export const troublesOf = (clock: Clock, random: SeededRandom): Troubles => {
  let byMethod = new Map<string, Used[]>();

  /** The first rule that is for the call and strikes. */
  const strike = (method: string, host: string): Rule | undefined => {
    const used = byMethod.get(method);
    if (used === undefined) return undefined;
    for (const one of used) {
      const { rule } = one;
      if (rule.host !== undefined && rule.host !== host) continue;
      one.seen += 1;
      if (one.seen <= rule.after || one.done >= rule.times) continue;
      if (rule.probability < 1 && !random.chance(rule.probability)) continue;
      one.done += 1;
      return rule;
    }
    return undefined;
  };
  const fail = ({ error }: Rule): void => {
    const [code, ...params] = error ?? [];
    if (code !== undefined) throw Fault.foreign(code, params);
  };
  return {
    replace: (rules) => {
      byMethod = new Map();
      for (const rule of rules) {
        byMethod.set(rule.method, [...(byMethod.get(rule.method) ?? []), { rule, seen: 0, done: 0 }]);
      }
    },
    get rules() {
      return [...byMethod.values()].flat().map(({ rule }) => rule);
    },
    meet: (method, host, signal) => {
      const rule = strike(method, host);
      return rule && sleep(clock, rule.delayMs, signal).then(() => fail(rule));
    },
    meetNow: (method, host) => {
      const rule = strike(method, host);
      if (rule !== undefined) fail(rule);
    },
  };
};

/**
 * The same behaviours, whose handlers meet trouble before they do anything. `nameOf`: of the host that does
 * it.
 */
export const troubled = (
  behaviours: readonly Behaviour<any>[],
  troubles: Troubles,
  nameOf: (host: string) => string,
): readonly Behaviour<any>[] =>
  behaviours.map((behaviour) => ({
    ...behaviour,
    handlers: Object.fromEntries(
      Object.entries(behaviour.handlers).map(([name, handler]) => [
        name,
        withTrouble(handler, `${behaviour.cls.name}.${name}`, troubles, nameOf),
      ]),
    ),
  }));

const withTrouble = (
  handler: AnyHandler,
  method: string,
  { meet, meetNow }: Troubles,
  nameOf: (host: string) => string,
): AnyHandler => {
  if ('work' in handler) {
    return {
      ...handler,
      work: async (working, args) => {
        await meet(method, nameOf(working.services.host), working.signal);
        return handler.work(working, args);
      },
    };
  }
  if ('stream' in handler) {
    return {
      ...handler,
      stream: async (working, args, client) => {
        await meet(method, nameOf(working.services.host), working.signal);
        return handler.stream(working, args, client);
      },
    };
  }
  if ('decide' in handler) {
    return {
      ...handler,
      decide: (deciding, args) => {
        meetNow(method, nameOf(deciding.services.host));
        return handler.decide(deciding, args);
      },
    };
  }
  return {
    ...handler,
    read: (reading, args) => {
      const met = meet(method, nameOf(reading.services.host));
      return met === undefined ? handler.read(reading, args) : met.then(() => handler.read(reading, args));
    },
  };
};

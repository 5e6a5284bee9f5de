import { classes } from '../../../actors/index.ts';
import { epoch, type Type } from '../../../src/model/types.ts';
import type { Availability } from '../../../src/objects/availability.ts';
import { catalogOf } from '../../../src/objects/catalog.ts';
import { Fault, type FaultCode } from '../../../src/std/fault.ts';
import type { Value } from '../../../src/std/value.ts';
import { type Adapter, against } from '../subject.ts';
import { carryingOut } from './carrying-out.ts';
import { live } from './live.ts';

const catalog = catalogOf(classes, []);

/** Something of a type, for calls of which only matters whether they are let in. */
const anything = ({ kind, empty }: Type<unknown>): Value => {
  if (kind === 'datetime') return { dateTime: epoch };
  return empty as Value;
};

const argumentsOf = (method: string): readonly Value[] =>
  (catalog.find(method)?.params ?? []).map(({ type }) => anything(type));

/** What a host that stands so in its pool answers a call of the superuser. */
const answering = (availability: Availability, then: unknown): Adapter =>
  live(
    async ({ host, root }, { when }) => {
      const method: string = when['call'];
      const sessionless = catalog.find(method)?.declared?.sessionless === true;
      const args = argumentsOf(method);
      return against(await host.json(method, ...(sessionless ? args : [root, ...args])), then);
    },
    { services: { availability: () => availability } },
  );

const coordinator = '192.0.2.7';

const refused: Adapter = (one) => {
  const [code, ...params]: readonly string[] = one.then['error'];
  if (one.given['session'] !== undefined) {
    const error = [code, ...params.map((param) => param.replace('<coordinator address>', coordinator))];
    return answering({ coordinator }, { error })(one);
  }
  return answering({ emergency: new Fault(code as FaultCode, params) }, { error: [code, ...params] })(one);
};

/**
 * Which calls a host in an emergency answers, and which a member answers itself, is declared with each
 * message.
 */
export const placingCalls: Adapter = (one) => {
  const { when, then } = one;
  if (then['error'] !== undefined) return refused(one);
  if (then['runs on'] !== undefined) return carryingOut(one);
  const message = catalog.find(when['call']);
  if (message === undefined) return { undeclared: when['call'] };
  if (then['admitted'] !== undefined) return { admitted: message.declared?.emergency === true };
  const local = message.declared?.onMember === true;
  return { handled: local ? 'on the member itself' : 'forwarded to the coordinator' };
};

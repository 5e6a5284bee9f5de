import { isStruct, type Value } from '../../../src/std/value.ts';
import { at } from '../../edge/served.ts';
import type { Case } from '../cases.ts';
import type { Live } from './live.ts';

export interface Event {
  readonly op: string;
  /** In lower case. */
  readonly cls: string;
  readonly ref: string;
  readonly event: Value;
}

export interface Heard {
  readonly token: string;
  readonly events: readonly Event[];
}

/** The reply of `event.from`, or of `event.next`, which is a list without a token. */
export const heard = (batch: Value): Heard => {
  const isList = Array.isArray(batch);
  const events: readonly Value[] = isList ? batch : at(batch, 'events');
  return {
    token: isList ? '' : at(batch, 'token'),
    events: events.map((event) => ({
      op: at(event, 'operation'),
      cls: at(event, 'class'),
      ref: at(event, 'ref'),
      event,
    })),
  };
};

export const from = async (
  { host, root }: Live,
  classes: readonly string[],
  token: string,
  timeoutS = 10,
): Promise<Heard> => heard(await host.call('event.from', root, classes, token, timeoutS));

export const now = async (here: Live): Promise<string> => (await from(here, ['*'], '', 0)).token;

export const brief = ({ events }: Heard, of?: string): readonly string[] =>
  events.filter(({ ref }) => of === undefined || ref === of).map(({ op, cls, ref }) => `${op} ${cls} ${ref}`);

/** What is at a dotted path of an event, such as `snapshot.name_label`; nothing: it is not there. */
export const inEvent = (event: Value, path: string): Value | undefined => {
  let found: Value | undefined = event;
  for (const key of path.split('.'))
    found = found !== undefined && isStruct(found) ? found.get(key) : undefined;
  return found;
};

/** A call of `event.from` as a case writes it: `event.from(["vm"], T, 10)`. */
export const fromForm = /^event\.from\((\[.*?\]), *(""|"?\w+"?)(?:, *([\d.]+))?\)$/;

/** What a case watches. */
export const classesOf = ({ when, given }: Case): readonly string[] => {
  const [, inCall] = fromForm.exec(String(when['call'])) ?? [];
  return inCall === undefined ? (when['classes'] ?? given['classes'] ?? ['*']) : JSON.parse(inCall);
};

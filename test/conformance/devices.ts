import { admitting, argumentsFor, asked, compared, messagesFor, putRows } from './scripts/admitting.ts';
import { type Adapter, against } from './subject.ts';
import { rowsOfCase, withRefs } from './vm-rows.ts';

type Device = 'VBD' | 'VIF';

/** What asks whether an operation would be admitted, where nothing else begins it. */
const questions: Readonly<Record<string, string>> = { 'VBD attach': 'VBD.assert_attachable' };

/** A row is about one operation, or about all that are listed. */
const deviceOperation = (cls: Device): Adapter =>
  admitting(async (at, { given, when, then }) => {
    const rows = rowsOfCase(given);
    const self = `OpaqueRef:${cls.toLowerCase()}`;
    const operation: string = when['operation'];
    await putRows(at, rows);
    const listed = (await at.tried(`${cls}.get_allowed_operations`, self)) as string[];
    if (when['call'] !== undefined) {
      return against([...listed].sort(), [...then[`${cls}.allowed_operations (as a set)`]].sort());
    }
    const found: Record<string, unknown> = {};
    const question = questions[`${cls} ${operation}`];
    if (question !== undefined) found[question] = await asked(at, question, [self]);
    for (const message of messagesFor(at, cls, operation)) {
      found[message.method] = await asked(at, message.method, argumentsFor(rows, message));
    }
    if (Object.keys(found).length > 0) return compared(found, () => withRefs(then));
    // Only hosts ask for it, so a client sees no more than that it is listed.
    return against({ allowed: listed.includes(operation) }, { allowed: then['allowed'] });
  });

export const vbdOperation = deviceOperation('VBD');
export const vifOperation = deviceOperation('VIF');

import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { label, ref, string, stringMap } from '../../src/model/types.ts';
import { secretText } from '../enums.ts';

export const secret = defineClass('secret', {
  doc: 'A password or key under a name, so that settings can mention it without showing it.',
  since: 'midnight-ride',
  readRole: 'pool-operator',
  writeRole: 'pool-operator',
  constructible: true,
  events: false,
  allowance: { rowsMax: 1_000, bytesMax: 8 * 1_048_576 },
  fields: {
    uuid: dyn(string, 'Name by which settings mention the secret, as in `cifspassword_secret`.'),
    value: rw(secretText, 'The secret itself, in plain text.'),
    other_config: rw(
      stringMap,
      'Free for clients; visible to every reader, so nothing secret belongs here.',
      { default: new Map(), readRole: 'read-only' },
    ),
    holder: dyn(string, 'User who made it; empty: Xenact did, for something else.', {
      default: '',
      internal: true,
      ours: true,
      indexed: true,
    }),
  },
  messages: {
    introduce: {
      doc: 'Makes a secret with a chosen identity, for hosts that join a pool and bring theirs.',
      role: 'pool-operator',
      params: {
        uuid: [label, 'Identity to have.'],
        value: [secretText, 'The secret itself.'],
        other_config: [stringMap, 'Settings of clients.', new Map()],
      },
      result: ref('secret'),
      hidden: true,
      secret: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    secret: typeof secret;
  }
}

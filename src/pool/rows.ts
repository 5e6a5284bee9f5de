import { type Class, defineClass, dyn, type RecordOf } from '../model/class.ts';
import { bool, int, ref, set, string } from '../model/types.ts';

// Rows that hosts keep for themselves. They are replicated as all rows are, and no client ever sees them.

/** How the other hosts reach a host. One row for each, under the reference of the host itself. */
export const xenact_peer = defineClass('xenact_peer', {
  doc: 'How a host is reached by the other hosts of its pool',
  writeRole: '_local_root_',
  events: false,
  internal: true,
  fields: {
    host: dyn(ref('host'), 'The host', { gone: 'goes too' }),
    address: dyn(string, 'Where its mesh is reached'),
    port: dyn(int, 'The port there'),
    pins: dyn(
      set(string),
      'Fingerprints of its certificates: the one in use and, while it changes, the next',
    ),
    apiPort: dyn(int, 'Port of its HTTPS'),
    proposal: dyn(string, 'Its last change that was decided, so that none is decided twice'),
    dead: dyn(bool, 'It was declared dead: nobody waits for its word until it is back'),
  },
  messages: {},
});

/** The log of what spans hosts, for whoever has to finish it or take it back. */
export const xenact_step = defineClass('xenact_step', {
  doc: 'A step of an operation that spans hosts',
  writeRole: '_local_root_',
  events: false,
  internal: true,
  fields: {
    operation: dyn(string, 'What is done, such as `VM.pool_migrate`'),
    self: dyn(string, 'The object that it is done to'),
    task: dyn(ref('task'), 'The task that it reports to', { gone: 'cleared' }),
    from: dyn(ref('host'), 'The host that does it', { gone: 'stays' }),
    to: dyn(ref('host'), 'The host that it leads to', { gone: 'stays' }),
    step: dyn(string, 'The last step that was begun'),
  },
  messages: {},
});

declare module '../model/class.ts' {
  interface Classes {
    xenact_peer: typeof xenact_peer;
    xenact_step: typeof xenact_step;
  }
}

export const internalClasses: readonly Class[] = [xenact_peer, xenact_step];

export type PeerRecord = RecordOf<typeof xenact_peer>;

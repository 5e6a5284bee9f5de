import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { int, oneOf, ref, string, stringMap } from '../../src/model/types.ts';
import { actions } from './actions.ts';

export const consoleProtocol = oneOf('console_protocol', ['vt100', 'rfb', 'rdp']);

export const console = defineClass('console', {
  doc: 'A way to reach the screen or the terminal of a running VM.',
  since: 'rio',
  writeRole: 'vm-admin',
  constructible: true,
  needs: ['VM'],
  fields: {
    uuid: dyn(string, 'Identity of the console, which lasts as long as the VM runs.'),
    protocol: dyn(consoleProtocol, 'What is spoken there: `rfb` is VNC, `vt100` a plain terminal.'),
    location: dyn(string, 'URL to send an HTTP CONNECT to, with a session.'),
    VM: dyn(ref('VM'), 'The VM it shows.', { inverse: 'VM.consoles', gone: 'goes too' }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.'),
    port: rw(int, 'Local port of the server that shows the guest; -1 if there is none.', { internal: true }),
  },
  actions,
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    console: typeof console;
  }
}

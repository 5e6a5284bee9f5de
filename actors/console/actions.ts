import { action } from '../../src/model/class.ts';
import { string } from '../../src/model/types.ts';

const shown = {
  ref: [string, 'Reference of a console or of a VM.', ''],
  uuid: [string, 'Uuid of a console or of a VM.', ''],
} as const;

/** What clients ask for by HTTP. */
export const actions = {
  connect_console: action(
    'CONNECT',
    '/console',
    'vm-operator',
    'Carries the bytes of a screen or terminal.',
    { parts: { host_console: 'pool-admin' }, duplex: true, params: shown },
  ),
  connect_console_ws: action('GET', '/console', 'vm-operator', 'Carries them as a WebSocket.', {
    parts: { host_console_ws: 'pool-admin' },
    duplex: true,
    params: shown,
  }),
  get_vncsnapshot: action('GET', '/vncsnapshot', 'vm-operator', 'Gives a picture of a screen, as PNG.', {
    parts: { host_console: 'pool-admin' },
    task: 'Taking snapshot of VM console',
    params: shown,
  }),
} as const;

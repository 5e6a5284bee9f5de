import { defineClass, dyn } from '../../src/model/class.ts';
import { confidential, int, string } from '../../src/model/types.ts';

export const vdi_nbd_server_info = defineClass('vdi_nbd_server_info', {
  doc: 'How to reach one server that exports a disk over NBD; a result, not an object.',
  since: 'inverness',
  writeRole: '_local_root_',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {
    exportname: dyn(confidential(string), 'Name to ask for; it holds a session and is as secret as one.'),
    address: dyn(string, 'Host name or IP address to connect to.'),
    port: dyn(int, 'TCP port to connect to.'),
    cert: dyn(string, 'Certificate in PEM form that the server will show.'),
    subject: dyn(string, 'Host name to compare with the certificate, which may differ from the address.'),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    vdi_nbd_server_info: typeof vdi_nbd_server_info;
  }
}

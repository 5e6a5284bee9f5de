import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { int, oneOf, ref, string } from '../../src/model/types.ts';

export const sdnControllerProtocol = oneOf('sdn_controller_protocol', ['ssl', 'pssl']);

export const SDN_controller = defineClass('SDN_controller', {
  doc: 'A controller that the virtual switches of the pool obey, instead of their own tables.',
  since: 'falcon',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    protocol: ro(
      sdnControllerProtocol,
      '`ssl` if hosts connect to the controller, `pssl` if they wait for it to connect.',
      { default: 'ssl' },
    ),
    address: ro(string, 'IP address of the controller; empty with `pssl`.', { default: '' }),
    port: ro(int, 'TCP port, of the controller with `ssl`, of the hosts with `pssl`; 0 for the usual one.', {
      default: 0n,
    }),
  },
  messages: {
    introduce: {
      doc: 'Puts the virtual switches of the pool under a controller; there can be only one.',
      role: 'pool-operator',
      params: {
        protocol: [sdnControllerProtocol, 'Who connects to whom.', 'ssl'],
        address: [string, 'IP address of the controller; none with `pssl`.', ''],
        port: [int, 'TCP port; 0 for the usual one.', 0n],
      },
      result: ref('SDN_controller'),
      async: true,
    },
    forget: {
      doc: 'Gives the virtual switches back to their own rules.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    SDN_controller: typeof SDN_controller;
  }
}

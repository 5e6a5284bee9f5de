import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, int, nullRef, oneOf, ref, string } from '../../src/model/types.ts';

export const sriovConfigurationMode = oneOf('sriov_configuration_mode', [
  'sysfs',
  'modprobe',
  'manual',
  'unknown',
]);

export const network_sriov = defineClass('network_sriov', {
  doc: 'A card that offers itself many times over, so that guests reach it without passing through the host.',
  since: 'kolkata',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    physical_PIF: ro(ref('PIF'), 'Interface of the card itself.', {
      default: nullRef,
      inverse: 'PIF.sriov_physical_PIF_of',
      gone: 'goes too',
    }),
    logical_PIF: ro(ref('PIF'), 'Interface that stands for what the card offers.', {
      default: nullRef,
      inverse: 'PIF.sriov_logical_PIF_of',
      gone: 'goes too',
    }),
    requires_reboot: dyn(bool, 'True if the host must reboot before a change takes effect.', {
      default: false,
    }),
    configuration_mode: dyn(
      sriovConfigurationMode,
      'How the driver of the card is told how many times to offer it.',
      { default: 'unknown' },
    ),
  },
  messages: {
    create: {
      doc: 'Let a card offer itself many times over to a network.',
      role: 'pool-operator',
      params: {
        pif: [ref('PIF'), 'Interface of the card.'],
        network: [ref('network'), 'Network to connect the guests to.'],
      },
      result: ref('network_sriov'),
      async: true,
    },
    destroy: {
      doc: 'Let the card offer itself only once again, which may need a reboot.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    get_remaining_capacity: {
      doc: 'How many more guests the card has room for.',
      role: 'read-only',
      self: 'self',
      result: int,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    network_sriov: typeof network_sriov;
  }
}

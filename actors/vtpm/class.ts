import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, map, nullRef, oneOf, ref, set, string } from '../../src/model/types.ts';
import { secretText } from '../enums.ts';

export const vtpmOperations = oneOf('vtpm_operations', ['destroy']);
export const persistenceBackend = oneOf('persistence_backend', ['xapi']);

export const VTPM = defineClass('VTPM', {
  doc: 'A virtual trusted platform module of a VM, and what the guest keeps in it.',
  since: '22.26.0',
  writeRole: 'pool-admin',
  needs: ['VM'],
  takes: ['contents'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    allowed_operations: dyn(
      set(vtpmOperations),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, vtpmOperations),
      'What runs on the module at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    VM: ro(ref('VM'), 'VM that has the module.', { inverse: 'VM.VTPMs', gone: 'collected' }),
    backend: dyn(ref('VM'), 'Domain that serves the module; null where the host does.', {
      default: nullRef,
      gone: 'cleared',
    }),
    persistence_backend: dyn(persistenceBackend, 'Where the contents are kept.', { default: 'xapi' }),
    is_unique: ro(bool, 'True if the contents must never exist twice, so that copies of the VM go without.', {
      default: false,
    }),
    is_protected: dyn(bool, 'True if the contents are guarded as the specification of such modules asks.', {
      default: false,
    }),
    contents: dyn(ref('secret'), 'Secret that holds the contents.', { internal: true, gone: 'cleared' }),
  },
  messages: {
    create: {
      doc: 'Give a halted VM a module, which starts empty.',
      role: 'vm-admin',
      params: {
        vM: [ref('VM'), 'VM to give it to.'],
        is_unique: [bool, 'True to keep the contents from being copied.'],
      },
      result: ref('VTPM'),
      async: true,
    },
    destroy: {
      frees: true,
      doc: 'Take the module away for good, with everything the guest keeps in it.',
      role: 'vm-admin',
      self: 'self',
      async: true,
    },
    get_contents: {
      doc: 'Contents of the module, for the host that runs it.',
      role: '_local_root_',
      self: 'self',
      result: secretText,
      async: true,
      hidden: true,
      secret: true,
    },
    set_contents: {
      doc: 'Replace the contents of the module, by the host that runs it.',
      role: '_local_root_',
      self: 'self',
      params: { contents: [secretText, 'The new contents.'] },
      async: true,
      hidden: true,
      secret: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VTPM: typeof VTPM;
  }
}

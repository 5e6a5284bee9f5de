import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, label, nullRef, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const VGPU = defineClass('VGPU', {
  doc: 'A GPU as a VM sees it: a slice of a physical GPU, or all of one.',
  since,
  writeRole: 'pool-operator',
  needs: ['VM', 'GPU_group'],
  fields: {
    uuid: dyn(string, 'Identity of the virtual GPU.'),
    VM: dyn(ref('VM'), 'Machine that it belongs to.', { inverse: 'VM.VGPUs', gone: 'collected' }),
    GPU_group: dyn(ref('GPU_group'), 'Group whose GPUs may serve it.', {
      inverse: 'GPU_group.VGPUs',
      gone: 'collected',
    }),
    device: dyn(string, 'Position among the GPUs of its VM, from `0`.', { default: '0' }),
    currently_attached: dyn(bool, 'True while it is plugged into a running VM.', { default: false }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    type: dyn(ref('VGPU_type'), 'Type that says how large a slice it is.', {
      default: nullRef,
      inverse: 'VGPU_type.VGPUs',
      gone: 'cleared',
    }),
    resident_on: dyn(ref('PGPU'), 'Physical GPU that serves it now; null while the VM is not running.', {
      default: nullRef,
      inverse: 'PGPU.resident_VGPUs',
      gone: 'cleared',
    }),
    scheduled_to_be_resident_on: dyn(
      ref('PGPU'),
      'Physical GPU that is reserved for it while its VM starts, resumes or migrates; otherwise null.',
      { default: nullRef, gone: 'cleared' },
    ),
    compatibility_metadata: dyn(
      stringMap,
      'Facts by which a host is judged able to take the virtual GPU over in a migration.',
      { default: new Map() },
    ),
    extra_args: rw(string, 'Arguments for the program that emulates it, for experts.', { default: '' }),
    PCI: dyn(ref('PCI'), 'Device that is passed through for it; null when none is.', {
      default: nullRef,
      gone: 'cleared',
    }),
  },
  messages: {
    create: {
      doc: 'Gives a virtual GPU to a VM that is halted.',
      role: 'pool-operator',
      params: {
        VM: [ref('VM'), 'Machine to give it to.'],
        GPU_group: [ref('GPU_group'), 'Group that is to serve it.'],
        device: [label, 'Position among the GPUs of the VM, which must be free.', '0'],
        other_config: [stringMap, 'Settings of clients.', new Map()],
        type: [ref('VGPU_type'), 'Type of the slice; null passes a whole GPU through.', nullRef],
      },
      result: ref('VGPU'),
      async: true,
    },
    destroy: {
      doc: 'Takes the virtual GPU away from its halted VM.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    atomic_set_resident_on: {
      doc: 'Moves the virtual GPU to a physical one in a single step that other hosts see at once.',
      role: '_local_root_',
      self: 'self',
      params: {
        value: [ref('PGPU'), 'Physical GPU that serves it from now on.'],
      },
      async: true,
      poolInternal: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VGPU: typeof VGPU;
  }
}

import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, int, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const vgpuTypeImplementation = oneOf('vgpu_type_implementation', [
  'passthrough',
  'nvidia',
  'nvidia_sriov',
  'gvt_g',
  'mxgpu',
]);

export const VGPU_type = defineClass('VGPU_type', {
  doc: 'A kind of virtual GPU: how much of a physical GPU it takes and what it shows to the guest.',
  since,
  writeRole: 'pool-operator',
  needs: [['supported_on_PGPUs', 'VGPUs']],
  fields: {
    uuid: dyn(string, 'Identity of the type.'),
    vendor_name: ro(string, 'Who makes GPUs of this type.', { default: '' }),
    model_name: ro(string, 'Name of the type for people.', { default: '' }),
    framebuffer_size: ro(int, 'Bytes of video memory that the guest gets.', { default: 0n }),
    max_heads: ro(int, 'Most screens that it can drive.', { default: 0n }),
    max_resolution_x: ro(int, 'Most pixels from left to right on each screen.', { default: 0n }),
    max_resolution_y: ro(int, 'Most pixels from top to bottom on each screen.', { default: 0n }),
    size: ro(int, 'Share of a physical GPU that it takes, in units that all types have in common.', {
      default: 0n,
      internal: true,
    }),
    supported_on_PGPUs: dyn(set(ref('PGPU')), 'Physical GPUs that are able to serve the type.', {
      inverse: 'PGPU.supported_VGPU_types',
      gone: 'cleared',
    }),
    enabled_on_PGPUs: dyn(set(ref('PGPU')), 'Physical GPUs that are allowed to serve the type.', {
      inverse: 'PGPU.enabled_VGPU_types',
      gone: 'cleared',
    }),
    VGPUs: dyn(set(ref('VGPU')), 'Virtual GPUs of this type.', { inverse: 'VGPU.type', computed: true }),
    internal_config: ro(stringMap, 'Settings for the program that emulates GPUs of this type.', {
      default: new Map(),
      internal: true,
    }),
    supported_on_GPU_groups: dyn(set(ref('GPU_group')), 'Groups with a GPU that is able to serve the type.', {
      inverse: 'GPU_group.supported_VGPU_types',
      gone: 'cleared',
    }),
    enabled_on_GPU_groups: dyn(
      set(ref('GPU_group')),
      'Groups with a GPU that is allowed to serve the type.',
      { inverse: 'GPU_group.enabled_VGPU_types', gone: 'cleared' },
    ),
    implementation: ro(
      vgpuTypeImplementation,
      'Technology that cuts the physical GPU into slices, or `passthrough` for a whole one.',
      { default: 'passthrough' },
    ),
    identifier: ro(
      string,
      'Stable text made of the facts of the type; two types are the same if theirs are equal.',
      { default: '' },
    ),
    experimental: ro(bool, 'True if the type is offered without promise of support.', { default: false }),
    compatible_types_in_vm: dyn(set(ref('VGPU_type')), 'Types that the same VM may have beside this one.', {
      default: [],
      gone: 'cleared',
    }),
    compatible_types_on_pgpu: dyn(
      set(ref('VGPU_type')),
      'Types that a physical GPU may serve beside this one.',
      { default: [], internal: true, gone: 'cleared' },
    ),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VGPU_type: typeof VGPU_type;
  }
}

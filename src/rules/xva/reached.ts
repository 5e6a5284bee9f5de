import type { RecordNamed } from '../../model/class.ts';
import type { Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';

/** The classes that are in a file, in its order. */
export const xvaClasses = [
  ...(['host', 'VM', 'VM_metrics', 'VM_guest_metrics', 'VBD', 'VIF', 'network', 'VDI', 'SR'] as const),
  ...(['VGPU_type', 'VGPU', 'GPU_group', 'PVS_proxy', 'PVS_site', 'VTPM'] as const),
] as const;
export type XvaClass = (typeof xvaClasses)[number];

/** Kinds of devices that a client can leave out. */
export const deviceKinds = ['VIF', 'VBD', 'VGPU', 'VTPM'] as const;
export type DeviceKind = (typeof deviceKinds)[number];

/** What of VMs is to be in a file. */
export interface XvaWanted {
  readonly vms: readonly Ref<'VM'>[];
  /** VMs stay as they are, running or suspended. */
  readonly preserve: boolean;
  /** With what they were before, and as snapshots what are some. */
  readonly snapshots: boolean;
  readonly without: readonly DeviceKind[];
  /** With the disks below those of VMs, as far as drivers say them. */
  readonly parents: boolean;
}

type Step = readonly [cls: XvaClass, ref: string];
type Reach<C extends XvaClass> = (row: RecordNamed<C>, view: View, wanted: XvaWanted) => readonly Step[];

const each = (cls: XvaClass, refs: readonly string[]): readonly Step[] => refs.map((ref) => [cls, ref]);

/** What else has to be in the file with an object, in the order in which ids are given. */
const reaches: { readonly [C in XvaClass]?: Reach<C> } = {
  VM: (vm, view, { preserve, snapshots, without }) => {
    const devices = (cls: DeviceKind): readonly Step[] =>
      without.includes(cls) ? [] : each(cls, vm[`${cls}s`]);
    const proxies = [...view.all('PVS_proxy')].filter(([, { VIF }]) => vm.VIFs.includes(VIF));
    return [
      ...devices('VIF'),
      ...devices('VBD'),
      ...devices('VGPU'),
      ...(without.includes('VIF')
        ? []
        : each(
            'PVS_proxy',
            proxies.map(([ref]) => ref),
          )),
      ...devices('VTPM'),
      ...(snapshots ? each('VM', vm.snapshots) : []),
      ...(preserve && vm.power_state === 'Suspended' ? each('VDI', [vm.suspend_VDI]) : []),
      ...each('VM_metrics', [vm.metrics]),
      ...each('VM_guest_metrics', [vm.guest_metrics]),
      ...each('host', [vm.resident_on, vm.affinity]),
      ...(snapshots ? each('VM', [vm.parent]) : []),
    ];
  },
  VIF: ({ network }) => each('network', [network]),
  VBD: ({ VDI, empty }) => (empty ? [] : each('VDI', [VDI])),
  VDI: ({ SR, sm_config }, view, { parents }) => {
    const below = parents ? view.byUuid('VDI', sm_config.get('vhd-parent') ?? '') : undefined;
    return [...each('SR', [SR]), ...(below === undefined ? [] : each('VDI', [below]))];
  },
  VGPU: ({ type, GPU_group }) => [...each('VGPU_type', [type]), ...each('GPU_group', [GPU_group])],
  PVS_proxy: ({ site }) => each('PVS_site', [site]),
};

/** Every object of the file by its reference, as they are come by. What is gone is left out. */
export const objectsReached = (view: View, wanted: XvaWanted): ReadonlyMap<string, XvaClass> => {
  const reached = new Map<string, XvaClass>();
  const ahead: Step[] = each('VM', wanted.vms).toReversed();
  for (let step = ahead.pop(); step !== undefined; step = ahead.pop()) {
    const [cls, ref] = step;
    const row = reached.has(ref) ? undefined : view.get(cls, ref as Ref<any>);
    if (row === undefined) continue;
    reached.set(ref, cls);
    const reach = reaches[cls] as Reach<any> | undefined;
    ahead.push(...(reach?.(row, view, wanted) ?? []).toReversed());
  }
  return reached;
};

/** What a metadata export of all has: every VM but those that came with the installation. */
export const exportedVms = (view: View, withDomainZero: boolean): readonly Ref<'VM'>[] => {
  const zeros = new Set([...view.all('host')].map(([, { control_domain }]) => control_domain));
  return [...view.all('VM')].flatMap(([ref, vm]) => {
    const isDefault =
      vm.is_default_template || (vm.is_a_template && vm.other_config.get('default_template') === 'true');
    return isDefault || (!withDomainZero && zeros.has(ref)) ? [] : [ref];
  });
};

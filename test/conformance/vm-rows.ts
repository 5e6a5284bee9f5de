import { classes } from '../../actors/index.ts';
import { Fault } from '../../src/std/fault.ts';
import { schemasOf } from '../../src/store/schema.ts';
import type { View } from '../../src/store/view.ts';

const schemas = schemasOf(classes);

export type Rows = Record<string, Record<string, Record<string, unknown>>>;

/** A view of rows written by hand; fields that are not given are at their defaults. */
export const viewOfRows = (rows: Rows): View => {
  const get = (cls: string, ref: string): Record<string, unknown> | undefined => {
    const given = rows[cls]?.[ref];
    return given === undefined ? undefined : { ...schemas.get(cls)?.defaults, ...given };
  };
  function* all(cls: string): Iterable<readonly [string, Record<string, unknown>]> {
    for (const ref of Object.keys(rows[cls] ?? {})) yield [ref, get(cls, ref) ?? {}];
  }
  return {
    get,
    all,
    require: (cls: string, ref: string) => {
      const found = get(cls, ref);
      if (found === undefined) throw new Fault('HANDLE_INVALID', [cls, ref]);
      return found;
    },
    only: (cls: string) => [...all(cls)][0],
    byUuid: (cls: string, uuid: string) => [...all(cls)].find(([, { uuid: its }]) => its === uuid)?.[0],
  } as unknown as View;
};

const refs: Record<string, string> = {
  '<vm>': 'OpaqueRef:vm',
  '<vbd>': 'OpaqueRef:vbd',
  '<vif>': 'OpaqueRef:vif',
  '<vdi>': 'OpaqueRef:vdi',
  '<appliance>': 'OpaqueRef:appliance',
  '<vmss>': 'OpaqueRef:vmss',
  '<vmpp>': 'OpaqueRef:vmpp',
  '<pci>': 'OpaqueRef:pci',
  '<host>': 'OpaqueRef:host',
  '<pool>': 'OpaqueRef:pool',
  '<cluster>': 'OpaqueRef:cluster',
  '<cluster_host>': 'OpaqueRef:cluster_host',
};

/** An expected value with references for the words that stand for them. */
export const withRefs = <T>(value: T): T =>
  JSON.parse(
    Object.entries(refs).reduce((text, [word, ref]) => text.replaceAll(word, ref), JSON.stringify(value)),
  );

const asMap = (members: Record<string, string> | undefined): Map<string, string> =>
  new Map(Object.entries(members ?? {}));

const plain = (given: Record<string, any>, cls: string): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(given)
      .filter(([key, value]) => key.startsWith(`${cls}.`) && !key.includes(' ') && value !== null)
      .map(([key, value]) => {
        const field = key.slice(cls.length + 1);
        const type = schemas.get(cls)?.cls.fields[field]?.type;
        if (type?.kind === 'map') return [field, asMap(value)];
        if (type?.kind === 'set' && typeof value === 'number') {
          return [field, Array.from({ length: value }, (_, i) => `OpaqueRef:${field}${i}`)];
        }
        return [field, withRefs(value)];
      }),
  );

/** The rows that a case describes: one VM with its metrics, one VBD with its VDI, one VIF, a pool, a host. */
export const rowsOfCase = (given: Record<string, any>): Rows => {
  const drivers = given['pv_drivers'] ?? true;
  const agent = {
    ...plain({ ...given, ...renamed(given, 'guest_metrics', 'VM_guest_metrics') }, 'VM_guest_metrics'),
    ...(drivers ? { PV_drivers_version: new Map([['major', '9']]) } : {}),
  };
  const metrics = plain({ ...given, ...renamed(given, 'metrics', 'VM_metrics') }, 'VM_metrics');
  const other = given['other VBD of the same VDI'];
  return {
    VM: {
      'OpaqueRef:vm': {
        domain_type: 'hvm',
        metrics: given['VM.metrics'] === null ? 'OpaqueRef:NULL' : 'OpaqueRef:metrics',
        guest_metrics: given['VM.guest_metrics'] === null ? 'OpaqueRef:NULL' : 'OpaqueRef:agent',
        resident_on: 'OpaqueRef:host',
        VBDs: ['OpaqueRef:vbd'],
        VIFs: ['OpaqueRef:vif'],
        ...plain(
          Object.fromEntries(
            Object.entries(given).filter(([key]) => key !== 'VM.metrics' && key !== 'VM.guest_metrics'),
          ),
          'VM',
        ),
        ...(Array.isArray(given['VM.VGPUs']) ? { VGPUs: ['OpaqueRef:vgpu'] } : {}),
      },
      ...(other === undefined
        ? {}
        : {
            'OpaqueRef:other': {
              power_state: other['VM.power_state'],
              is_control_domain: other['VM.is_control_domain'],
            },
          }),
    },
    VM_metrics: { 'OpaqueRef:metrics': metrics },
    VM_guest_metrics: { 'OpaqueRef:agent': agent },
    VBD: {
      'OpaqueRef:vbd': {
        VM: 'OpaqueRef:vm',
        VDI: given['VBD.empty'] === true ? 'OpaqueRef:NULL' : 'OpaqueRef:vdi',
        ...plain(given, 'VBD'),
      },
      ...(other === undefined
        ? {}
        : { 'OpaqueRef:vbd2': { VM: 'OpaqueRef:other', VDI: 'OpaqueRef:vdi', ...other } }),
    },
    VDI: {
      'OpaqueRef:vdi': {
        managed: true,
        VBDs: other === undefined ? ['OpaqueRef:vbd'] : ['OpaqueRef:vbd', 'OpaqueRef:vbd2'],
        ...plain(given, 'VDI'),
      },
    },
    VIF: {
      'OpaqueRef:vif': {
        VM: 'OpaqueRef:vm',
        ...plain(given, 'VIF'),
        ...(given['VIF.current_operations (in stored order)'] === undefined
          ? {}
          : { current_operations: new Map(given['VIF.current_operations (in stored order)']) }),
      },
    },
    pool: { 'OpaqueRef:pool': plain(given, 'pool') },
    host: {
      'OpaqueRef:host': {
        control_domain: given['is_domain_zero'] === true ? 'OpaqueRef:vm' : 'OpaqueRef:NULL',
      },
    },
    VM_appliance: { 'OpaqueRef:appliance': {} },
    VMSS: { 'OpaqueRef:vmss': {} },
    VMPP: { 'OpaqueRef:vmpp': {} },
  };
};

const renamed = (given: Record<string, any>, from: string, to: string): Record<string, any> =>
  Object.fromEntries(
    Object.entries(given)
      .filter(([key]) => key.startsWith(`${from}.`))
      .map(([key, value]) => [to + key.slice(from.length), value]),
  );

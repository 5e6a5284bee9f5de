import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { isEnabled } from '../../src/rules/features.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { VTPM } from './class.ts';

/** Throws FEATURE_RESTRICTED where the pool offers no modules, before the VM is looked at. */
const assertOffered = (view: View): void => {
  const [pool] = view.all('pool');
  if (pool === undefined || isEnabled(pool[1].restrictions, 'VTPM')) return;
  throw new Fault('FEATURE_RESTRICTED', ['restrict_vtpm']);
};

interface NewModule {
  readonly vM: Ref<'VM'>;
  readonly is_unique: boolean;
}

const forVm = ({ vM }: NewModule, view: View): Ref<'VM'> => {
  assertOffered(view);
  view.require('VM', vM);
  return vM;
};

/** What guests keep in modules opens their disks, so it is kept as secrets are. */
const newContents = (tx: Tx, { random }: Deciding['services'], value: string): Ref<'secret'> => {
  const ref = newRef<'secret'>({ random });
  tx.create('secret', ref, { uuid: random.uuid(), value });
  return ref;
};

const destroyRefusal = (view: View, { VM }: RecordNamed<'VTPM'>): Fault | undefined => {
  const state = view.get('VM', VM)?.power_state ?? 'Halted';
  return state === 'Halted' || state === 'Suspended'
    ? undefined
    : new Fault('VM_BAD_POWER_STATE', [VM, 'halted;suspended', state.toLowerCase()]);
};

export default implement(
  VTPM,
  {
    owner: ({ VM }) => ['VM', VM],
    admit: (view, self) => destroyRefusal(view, view.require('VTPM', self)),
    derive: (view, _, record) => ({
      allowed_operations: destroyRefusal(view, record) === undefined ? (['destroy'] as const) : [],
    }),
  },
  {
    create: {
      operation: 'create_vtpm',
      offline: true,
      on: forVm,
      work: async ({ services, settle }, { vM, is_unique }: NewModule) => {
        const ref = newRef<'VTPM'>(services);
        settle((tx) => {
          const contents = newContents(tx, services, '');
          tx.create('VTPM', ref, { uuid: services.random.uuid(), VM: vM, is_unique, contents });
        });
        return ref;
      },
    },
    destroy: {
      operation: 'destroy',
      offline: true,
      work: async ({ self, settle }) => settle((tx) => tx.delete('VTPM', self)),
    },
    get_contents: {
      read: ({ view, self }) => {
        const { contents } = view.require('VTPM', self as Ref<'VTPM'>);
        return contents === nullRef ? '' : view.require('secret', contents).value;
      },
    },
    set_contents: {
      decide: ({ tx, self, services }: Deciding, { contents: value }) => {
        const vtpm = self as Ref<'VTPM'>;
        const { contents: before } = tx.require('VTPM', vtpm);
        tx.patch('VTPM', vtpm, { contents: newContents(tx, services, value) });
        tx.delete('secret', before);
      },
    },
  },
);

import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { newBlob } from '../../src/rules/blobs.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { network } from './class.ts';

export const networksMax = 4_096;
/** Bytes in a packet, where nobody says otherwise. */
const mtuUsual = 1_500n;
/** A name that Linux takes for an interface. */
const bridgeName = /^[A-Za-z0-9_.-]{1,15}$/;

const self = ({ self: ref }: { readonly self: Ref }): Ref<'network'> => ref as Ref<'network'>;

const bridges = (tx: Tx): ReadonlySet<string> =>
  new Set([...tx.all('network')].map(([, { bridge }]) => bridge));

const freeBridge = (taken: ReadonlySet<string>): string => {
  for (let number = 0; ; number += 1) if (!taken.has(`xapi${number}`)) return `xapi${number}`;
};

const create = ({ tx, services }: Deciding, fields: Partial<RecordNamed<'network'>>): Ref<'network'> => {
  const taken = bridges(tx);
  if (taken.size >= networksMax) {
    throw new Fault('OPERATION_NOT_ALLOWED', [`There can be no more than ${networksMax} networks`]);
  }
  const wanted = fields.bridge ?? '';
  if (wanted !== '' && !bridgeName.test(wanted)) throw new Fault('INVALID_VALUE', ['bridge', wanted]);
  // Several networks may lie on a bridge that somebody else set up, but never on one of ours.
  if (fields.managed !== false && taken.has(wanted)) throw new Fault('BRIDGE_NAME_EXISTS', [wanted]);
  const ref = newRef<'network'>(services);
  tx.create('network', ref, {
    ...fields,
    uuid: services.random.uuid(),
    bridge: wanted === '' ? freeBridge(taken) : wanted,
    MTU: fields.MTU === undefined || fields.MTU <= 0n ? mtuUsual : fields.MTU,
  });
  return ref;
};

const destroy = (deciding: Deciding): void => {
  const { tx } = deciding;
  const { PIFs, VIFs, other_config } = tx.require('network', self(deciding));
  if (PIFs.length > 0) throw new Fault('NETWORK_CONTAINS_PIF', PIFs);
  const plugged = VIFs.filter((vif) => tx.get('VIF', vif)?.currently_attached === true);
  if (plugged.length > 0) throw new Fault('NETWORK_CONTAINS_VIF', plugged);
  if (other_config.get('is_host_internal_management_network') === 'true') {
    throw new Fault('CANNOT_DESTROY_SYSTEM_NETWORK', [self(deciding)]);
  }
  tx.delete('network', self(deciding));
};

type Purpose = RecordNamed<'network'>['purpose'][number];

/** A pool offers its disks either over TLS or without, on whichever networks. */
const assertPurposeFits = (tx: Tx, wanted: Purpose): void => {
  for (const [, { purpose }] of tx.all('network')) {
    const other = purpose.find((one) => one !== wanted);
    if (other !== undefined) throw new Fault('NETWORK_INCOMPATIBLE_PURPOSES', [wanted, other]);
  }
};

export default implement(
  network,
  { derive: () => ({ allowed_operations: ['attaching'] as const }) },
  {
    create: { decide: create },
    destroy: { decide: destroy },
    create_new_blob: newBlob('network'),
    pool_introduce: {
      decide: (deciding, fields) => {
        const ref = newRef<'network'>(deciding.services);
        deciding.tx.create('network', ref, { ...fields, uuid: deciding.services.random.uuid() });
        return ref;
      },
    },
    set_MTU: {
      decide: (deciding: Deciding, { value }: { value: bigint }) => {
        if (value < 68n || value > 65_535n) throw new Fault('INVALID_VALUE', ['MTU', String(value)]);
        deciding.tx.patch('network', self(deciding), { MTU: value });
      },
    },
    set_default_locking_mode: {
      decide: (deciding, { value }) => {
        const { tx } = deciding;
        const plugged = tx
          .require('network', self(deciding))
          .VIFs.find((vif) => tx.get('VIF', vif)?.currently_attached === true);
        if (plugged !== undefined) throw new Fault('VIF_IN_USE', [self(deciding), plugged]);
        tx.patch('network', self(deciding), { default_locking_mode: value });
      },
    },
    add_purpose: {
      decide: (deciding, { value }) => {
        const { purpose } = deciding.tx.require('network', self(deciding));
        if (purpose.includes(value)) return;
        assertPurposeFits(deciding.tx, value);
        deciding.tx.patch('network', self(deciding), { purpose: [...purpose, value] });
      },
    },
    remove_purpose: {
      decide: (deciding, { value }) => {
        const { purpose } = deciding.tx.require('network', self(deciding));
        deciding.tx.patch('network', self(deciding), { purpose: purpose.filter((one) => one !== value) });
      },
    },
  },
);

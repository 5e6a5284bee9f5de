import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import { Rate_limit } from './class.ts';

type Fields = Partial<RecordNamed<'Rate_limit'>>;

/** As the XenAPI prints a float: `-1.` and `0.`, but `-1.5`. */
const printed = (value: number): string => (Number.isInteger(value) ? `${value}.` : String(value));

const checked = (field: 'fill_rate' | 'burst_size', value: number): number => {
  if (value > 0 && Number.isFinite(value)) return value;
  throw new Fault('INVALID_VALUE', [field, printed(value)]);
};

const create = ({ tx, services }: Deciding, fields: Fields): Ref<'Rate_limit'> => {
  const fill_rate = checked('fill_rate', fields.fill_rate ?? 0);
  const burst_size = checked('burst_size', fields.burst_size ?? 0);
  const ref = newRef<'Rate_limit'>(services);
  tx.create('Rate_limit', ref, { ...fields, fill_rate, burst_size, uuid: services.random.uuid() });
  return ref;
};

const set =
  (field: 'fill_rate' | 'burst_size') =>
  ({ tx, self }: Deciding, { value }: { readonly value: number }): void =>
    tx.patch('Rate_limit', self as Ref<'Rate_limit'>, { [field]: checked(field, value) });

interface OfCaller {
  readonly caller: Ref<'Caller'>;
}

export default implement(
  Rate_limit,
  {},
  {
    create: { decide: create },
    destroy: { decide: ({ tx, self }: Deciding) => tx.delete('Rate_limit', self as Ref<'Rate_limit'>) },
    add_caller: {
      decide: ({ tx, self }: Deciding, { caller }: OfCaller) => {
        tx.require('Caller', caller);
        tx.patch('Caller', caller, { rate_limit: self as Ref<'Rate_limit'>, auto_registered: false });
      },
    },
    remove_caller: {
      decide: ({ tx, self }: Deciding, { caller }: OfCaller) => {
        if (tx.require('Caller', caller).rate_limit !== self) return;
        tx.patch('Caller', caller, { rate_limit: nullRef as Ref<'Rate_limit'> });
      },
    },
    set_burst_size: { decide: set('burst_size') },
    set_fill_rate: { decide: set('fill_rate') },
  },
);

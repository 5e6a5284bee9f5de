import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Deciding } from '../../src/objects/implement.ts';

// Settings that were keys of `other_config` before they were fields: either may be set, and both say the
// same.

type HostRow = RecordNamed<'host'>;

/**
 * The fields as the keys have them. A key that is missing, or says nothing that is understood, leaves its
 * field.
 */
export const mirrored = ({ other_config }: HostRow): Partial<HostRow> => {
  const iqn = other_config.get('iscsi_iqn');
  const multipathing = other_config.get('multipathing');
  return {
    ...(iqn === undefined || iqn === '' ? {} : { iscsi_iqn: iqn }),
    ...(multipathing === 'true' || multipathing === 'false' ? { multipathing: multipathing === 'true' } : {}),
  };
};

export const setMirrored = (
  { tx, self }: Deciding,
  key: 'iscsi_iqn' | 'multipathing',
  value: string,
): void => {
  const host = self as Ref<'host'>;
  const { other_config } = tx.require('host', host);
  tx.patch('host', host, { other_config: new Map([...other_config, [key, value]]) });
};

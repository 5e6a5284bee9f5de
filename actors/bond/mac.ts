import type { RecordNamed } from '../../src/model/class.ts';

/** The hardware address of a bond: that of its primary member, or the one it was given. */
export const bondMac = (
  { auto_update_mac }: Pick<RecordNamed<'Bond'>, 'auto_update_mac'>,
  given: string,
  primary: string,
): string => (auto_update_mac ? primary : given);

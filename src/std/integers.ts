const forms = /^([+-]?)(?:0u)?(0x[0-9a-f][0-9a-f_]*|0o[0-7][0-7_]*|0b[01][01_]*|\d[\d_]*)$/i;

/** Beyond these no integer of a setting means anything. */
const digitsMax = 20;

/** An integer as settings spell it: decimal, or `0x`, `0o` and `0b`, with `_` between digits. */
export const integerOf = (text: string): bigint | undefined => {
  const [, sign, digits = ''] = forms.exec(text) ?? [];
  if (sign === undefined || digits.length > digitsMax) return undefined;
  const value = BigInt(digits.replaceAll('_', ''));
  return sign === '-' ? -value : value;
};

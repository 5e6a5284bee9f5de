// Numbers as text, shared by the XML and JSON flavours: int64 is exact, floats read and look as OCaml's.

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
const digitsMax = 20;

/**
 * In decimal. Clients cannot read more than an int64: what was added up beyond it is written as its bound.
 */
export const int64Text = (value: bigint): string =>
  String(value > int64Max ? int64Max : value < int64Min ? int64Min : value);

/** A decimal int64, or undefined when `text` is none. */
export const int64Of = (text: string): bigint | undefined => {
  if (text.length > digitsMax || !/^[+-]?\d+$/.test(text)) return undefined;
  const n = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return n >= int64Min && n <= int64Max ? n : undefined;
};

const floatForm = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const infinityForm = /^[+-]?inf(?:inity)?$/i;
const nanForm = /^[+-]?nan$/i;

/** A float in decimal, `inf` or `nan`, or undefined when `text` is none. */
export const floatOf = (text: string): number | undefined => {
  if (floatForm.test(text)) return Number(text);
  if (infinityForm.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  return nanForm.test(text) ? Number.NaN : undefined;
};

/**
 * A finite number as C's `%.*g` has it, so that clients which compare texts see what they always saw.
 * An exact tie in the last digit goes away from zero here and to the even digit in C.
 */
export const shortFloat = (value: number, digits: number): string => {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return Object.is(value, -0) ? '-0' : String(value);
  const scientific = value.toExponential(digits - 1);
  const e = scientific.indexOf('e');
  const exponent = Number(scientific.slice(e + 1));
  if (exponent >= -4 && exponent < digits) return trimmed(value.toFixed(digits - 1 - exponent));
  const sign = exponent < 0 ? '-' : '+';
  return `${trimmed(scientific.slice(0, e))}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
};

const trimmed = (decimal: string): string =>
  decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal;

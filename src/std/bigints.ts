/** `Math.min` and `Math.max` know numbers only. */
export const lesser = (one: bigint, other: bigint): bigint => (one < other ? one : other);
export const greater = (one: bigint, other: bigint): bigint => -lesser(-one, -other);

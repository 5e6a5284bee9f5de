/**
 * Roughly the bytes that a value takes: what is fixed in size counts a little, so that many are not nothing.
 */
export const weightOf = (value: unknown): number => {
  if (typeof value === 'string') return value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + 8 + weightOf(item), 8);
  if (value instanceof Map) {
    let sum = 8;
    for (const [key, item] of value) sum += 8 + weightOf(key) + weightOf(item);
    return sum;
  }
  return 8;
};

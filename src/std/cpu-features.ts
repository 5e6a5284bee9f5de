/** What a CPU can do, as 32-bit words of flags. Words that one of two lists lacks count as zero. */
export type CpuFeatures = readonly number[];

const word = /^[0-9a-f]{8}$/i;
const wordsMax = 64;

/** `0000007b-00000002`, as the hypervisor and clients have it; undefined when it is not of that form. */
export const parseFeatures = (text: string): CpuFeatures | undefined => {
  if (text === '') return [];
  const words = text.split('-', wordsMax + 1);
  const isList = words.length <= wordsMax && words.every((one) => word.test(one));
  return isList ? words.map((one) => Number.parseInt(one, 16)) : undefined;
};

export const featuresText = (features: CpuFeatures): string =>
  features.map((one) => (one >>> 0).toString(16).padStart(8, '0')).join('-');

/** As long as `other`: cut, or completed with the words that only `other` has. */
export const extend = (features: CpuFeatures, other: CpuFeatures): CpuFeatures =>
  other.map((one, i) => features[i] ?? one);

export const zeroExtend = (features: CpuFeatures, length: number): CpuFeatures =>
  Array.from({ length }, (_, i) => features[i] ?? 0);

/** What both can do. An empty list says nothing, so the other one counts. */
export const intersect = (a: CpuFeatures, b: CpuFeatures): CpuFeatures => {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const length = Math.max(a.length, b.length);
  return Array.from({ length }, (_, i) => ((a[i] ?? 0) & (b[i] ?? 0)) >>> 0);
};

export const isEqual = (a: CpuFeatures, b: CpuFeatures): boolean => {
  const length = Math.max(a.length, b.length);
  return Array.from({ length }, (_, i) => (a[i] ?? 0) === (b[i] ?? 0)).every(Boolean);
};

export const isSubset = (a: CpuFeatures, b: CpuFeatures): boolean => isEqual(intersect(a, b), a);

export const isStrictSubset = (a: CpuFeatures, b: CpuFeatures): boolean => isSubset(a, b) && !isEqual(a, b);

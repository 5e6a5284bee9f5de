import type { Hello } from './frame.ts';

/** Versions of the protocol that this program speaks, the lowest and the highest. */
export type MeshVersions = readonly [min: number, max: number];

export const meshVersions: MeshVersions = [1, 1];

/** The highest version that both sides speak, or a sentence that says what to do. */
export const agreedVersion = (ours: MeshVersions, software: string, theirs: Hello): number | string => {
  const [min, max] = [Math.max(ours[0], theirs.versions[0]), Math.min(ours[1], theirs.versions[1])];
  if (min <= max) return max;
  const behind = theirs.versions[1] < ours[0] ? `host ${theirs.host}` : 'this host';
  const spoken = `${theirs.software} on host ${theirs.host} speaks ${span(theirs.versions)} of the mesh`;
  return `${spoken}, ${software} on this host ${span(ours)}: upgrade ${behind}`;
};

const span = ([min, max]: MeshVersions): string =>
  min === max ? `version ${min}` : `versions ${min} to ${max}`;

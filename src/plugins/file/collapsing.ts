import { join } from 'node:path';
import { isOfHost, readMark } from '../held.ts';
import { type Args, type Methods, Refusal } from '../script.ts';
import type { OpenFolder } from './folder.ts';

// A snapshot that was destroyed leaves an image that others stand on. Where one image alone stands on it,
// the two become one: the upper one gets what it lacks in a copy, which then takes its name. A guest has the
// old files open and goes on with them; whoever opens them next finds the new one.

/** So much is merged whatever it is merged with. */
const CHEAP_BYTES = 64 * 1_048_576;
/**
 * Otherwise the lower image is at most so many times as large as the upper one, so that what a nightly
 * snapshot leaves does not have the whole disk written each night. What stays is a chain whose images double.
 */
const TIMES_LARGER_MAX = 2;

/** An image, what it stands on and nobody needs for itself, and what that stands on. */
interface Pair {
  readonly image: string;
  readonly below: string;
  readonly onto: string | undefined;
}

/**
 * `SR.collapse` makes one of two images, if there are such, and answers how many pairs are `left`; with
 * `looking` it answers that alone.
 */
export const collapseMethods = (folderOf: (args: Args) => OpenFolder): Methods => ({
  'SR.collapse': async (args) => {
    const folder = folderOf(args);
    const pairs = (): Promise<readonly Pair[]> => folder.turns.working(() => pairsIn(folder));
    const found = await pairs();
    const [pair] = found;
    if (pair === undefined || args['looking'] === true) return { left: found.length };
    await collapse(folder, pair);
    return { left: (await pairs()).length };
  },
});

const collapse = async (folder: OpenFolder, { image, below, onto }: Pair): Promise<void> => {
  const { images, turns } = folder;
  const { before, merged } = await turns.working(async () => ({
    before: await images.writtenAt(image),
    merged: await images.merge(image, onto),
  }));
  await turns.exchanging(async () => {
    const isSame = (one: Pair): boolean => one.image === image && one.below === below && one.onto === onto;
    const isUnchanged = (await pairsIn(folder)).some(isSame) && (await images.writtenAt(image)) === before;
    if (!isUnchanged) return images.remove(merged);
    await images.exchange(image, merged);
    await images.remove(below);
  });
};

/** Where a volume does not say what it needs there are none. What may be written to is left alone. */
const pairsIn = async (folder: OpenFolder): Promise<readonly Pair[]> => {
  const found = await chainsIn(folder);
  if (found === undefined) return [];
  const { named, above, below } = found;
  const candidates = [...above].flatMap(([parent, [image, ...others]]) =>
    image === undefined || others.length > 0 || named.has(parent) ? [] : [{ image, parent }],
  );
  if (candidates.length === 0) return [];
  const told = await toldOf(folder);
  const used = await folder.images.usedBytes([
    ...new Set(candidates.flatMap(({ image, parent }) => [image, parent])),
  ]);
  const pairs: Pair[] = [];
  for (const { image, parent } of candidates) {
    const worth = Math.max(CHEAP_BYTES, TIMES_LARGER_MAX * (used.get(image) ?? 0));
    if (told.has(parent) || (used.get(parent) ?? 0) > worth) continue;
    // A guest that had it on top may not have been given what is above yet.
    if (!(await folder.images.isHeld(image))) pairs.push({ image, below: parent, onto: below.get(parent) });
  }
  return pairs;
};

/** What a host itself reads, all the way down: told once, it opens it for one reader after the other. */
const toldOf = async ({ disk, path, images }: OpenFolder): Promise<ReadonlySet<string>> => {
  const told = new Set<string>();
  for (const { name } of await disk.list(path)) {
    const mark = readMark(name);
    if (mark === undefined || !(await isOfHost(disk, join(path, name)))) continue;
    for (const image of await chainOrNone(images, mark.image)) told.add(image);
  }
  return told;
};

const chainOrNone = (images: OpenFolder['images'], image: string): Promise<readonly string[]> =>
  images.chainOf(image).catch((error) => {
    if (isUnusable(error)) return [];
    throw error;
  });

/** It is gone, or cannot be used. */
const isUnusable = (error: unknown): boolean =>
  error instanceof Refusal || (error as NodeJS.ErrnoException).code === 'ENOENT';

interface Chains {
  /** By a volume, for its contents or for those that it had. */
  readonly named: ReadonlySet<string>;
  /** What stands on an image, and what it stands on. Left-overs, on which no volume stands, do not count. */
  readonly above: ReadonlyMap<string, ReadonlySet<string>>;
  readonly below: ReadonlyMap<string, string>;
}

const chainsIn = async ({ notes, images }: OpenFolder): Promise<Chains | undefined> => {
  const named = new Set<string>();
  const above = new Map<string, Set<string>>();
  const below = new Map<string, string>();
  try {
    for (const key of await notes.keys()) {
      const { image: top, past } = await notes.read(key);
      named.add(top);
      if (past?.image !== undefined) named.add(past.image);
      let image = top;
      for (const parent of (await images.chainOf(top)).slice(1)) {
        below.set(image, parent);
        above.set(parent, (above.get(parent) ?? new Set()).add(image));
        image = parent;
      }
    }
    return { named, above, below };
  } catch (error) {
    if (isUnusable(error)) return undefined;
    throw error;
  }
};

/** What names a place outside the folder that it must be in. */
export class NotWithin extends Error {
  constructor(name: string, folder: string) {
    super(`${JSON.stringify(name.slice(0, SHOWN_MAX))} does not name a file within ${folder}`);
    this.name = 'NotWithin';
  }
}

const SHOWN_MAX = 200;
const PATH_CHARS_MAX = 4_096;
const PART_BYTES_MAX = 255;

/**
 * The steps from an absolute folder to what `name` names in it, by an absolute path below the folder or one
 * from there. Nothing that goes up is taken, as what is above depends on where links lead.
 */
export const partsWithin = (folder: string, name: string): readonly string[] => {
  const root = folder.endsWith('/') ? folder : `${folder}/`;
  const inside = name.startsWith(root) ? name.slice(root.length) : name;
  const parts = inside.split('/').filter((part, index) => part !== '' || index === 0);
  const fits = parts.every(
    (part) => part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= PART_BYTES_MAX,
  );
  if (!fits || parts.length === 0 || name.length > PATH_CHARS_MAX || /\p{Cc}/u.test(name)) {
    throw new NotWithin(name, folder);
  }
  return parts;
};

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// The program's own text, for tests of its form.

/** Paths of the TypeScript files in folders of the tree. */
export const files = (...folders: string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => path.endsWith('.ts')),
  );

export const sources = files('src', 'actors');
export const text = (path: string): string => readFileSync(path, 'utf8');

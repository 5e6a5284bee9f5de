import { existsSync, readFileSync } from 'node:fs';
import type { TestContext } from 'vitest';

/** The XenAPI as its data model tells it; a test says which part of it it reads. */
const file = new URL('../../../shared/reference/datamodel.json', import.meta.url);
const loaded: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;

/** Without the reference the test reports itself as skipped. */
export const referenceOr = <T>(ctx: TestContext): T => {
  if (loaded === undefined) return ctx.skip('needs ../shared/reference/datamodel.json');
  return loaded as T;
};

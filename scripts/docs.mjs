// `npm run docs`: installs, builds and writes the generated pages: docs/api, docs/coverage.md and docs/copies.md.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, install, root } from './setup.mjs';

install();
build();

const built = (...path) => import(pathToFileURL(join(root, 'dist', ...path)).href);
const { classes } = await built('actors', 'index.js');
const { behaviours } = await built('actors', 'behaviours.js');
const { apiPages } = await built('src', 'model', 'docs.js');
const { coveragePage } = await built('src', 'edge', 'coverage.js');
const { fatesPage } = await built('src', 'rules', 'fates', 'page.js');
const { catalogOf } = await built('src', 'objects', 'catalog.js');

const docs = join(root, 'docs');
const usage = JSON.parse(readFileSync(join(docs, 'client-usage.json'), 'utf8'));
const pages = apiPages(classes);

rmSync(join(docs, 'api'), { recursive: true, force: true });
mkdirSync(join(docs, 'api'), { recursive: true });
for (const [name, text] of pages) writeFileSync(join(docs, 'api', name), text);
writeFileSync(join(docs, 'coverage.md'), coveragePage(catalogOf(classes, behaviours), usage));
writeFileSync(join(docs, 'copies.md'), fatesPage());
console.error(`Wrote ${pages.size} pages to docs/api, docs/coverage.md and docs/copies.md.`);

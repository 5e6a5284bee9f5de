const { readFileSync } = require('node:fs');
const { join } = require('node:path');

// The table of rooms in docs/house.md is the rule: each room imports the rooms and packages that its row names, and
// everything not named is an error.
const words = (cell) =>
  cell
    .replaceAll(/\([^)]*\)|`/g, '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
const rooms = {};
for (const line of readFileSync(join(__dirname, 'docs', 'house.md'), 'utf8').split('\n')) {
  if (!/^\| `(src\/[a-z]+|actors)` \|/.test(line)) continue;
  const [, folder, , may, packages] = line.split('|').map((cell) => cell.trim());
  const named = may.startsWith('every room')
    ? Object.keys(rooms)
    : words(may).map((word) => (word === 'actors' ? word : `src/${word}`));
  rooms[folder.replaceAll('`', '')] = { rooms: named, npm: words(packages) };
}
if (Object.keys(rooms).length < 10) throw new Error('The table of rooms in docs/house.md cannot be read');

const own = (room) => `^${room}/`;
const esc = (names) => names.map((n) => `node_modules/(@types/)?${n}/`).join('|');
const perRoom = Object.entries(rooms).flatMap(([room, may]) => [
  {
    name: `${room} imports only the rooms below it`,
    severity: 'error',
    from: { path: own(room) },
    to: { path: '^(src|actors|test)/', pathNot: [room, ...may.rooms].map(own) },
  },
  {
    name: `${room} imports only its own packages`,
    severity: 'error',
    from: { path: own(room) },
    to: {
      dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'],
      ...(may.npm.length ? { pathNot: [esc(may.npm)] } : {}),
    },
  },
]);

module.exports = {
  forbidden: [
    ...perRoom,
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'one class never imports another',
      severity: 'error',
      from: { path: '^actors/([^/.]+)', pathNot: '^actors/(index|enums|behaviours)\\.ts$' },
      to: { path: '^actors/', pathNot: ['^actors/$1(/|\\.ts$)', '^actors/enums\\.ts$'] },
    },
    {
      name: 'nact is imported in one file',
      severity: 'error',
      from: { path: '^(src|actors)/', pathNot: '^src/kernel/nact\\.ts$' },
      to: { path: 'node_modules/nact/' },
    },
    {
      name: 'only the node adapters and main touch the machine',
      severity: 'error',
      from: { path: '^(src|actors)/', pathNot: '^src/(drivers/node|main)' },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|fs/promises|net|tls|http|https|http2|dgram|dns|child_process|worker_threads|cluster|os)$',
      },
    },
    {
      name: 'classes, objects, rules, the edge, the mesh, the pool, the engine and the assembly see driver interfaces, never a driver',
      severity: 'error',
      from: { path: '^(actors|src/(objects|rules|edge|mesh|pool|engine|assembly))/' },
      to: { path: '^src/drivers/([^/]+)/(?!\\1\\.ts$)' },
    },
    {
      name: 'a simulation never touches the machine',
      severity: 'error',
      from: { path: '^src/simulation/' },
      to: { path: ['^src/drivers/node/', '^src/daemons/[^/]+/main\\.ts$'] },
    },
    { name: 'shipped code never imports tests', severity: 'error', from: { path: '^(src|actors)/' }, to: { path: '^test/' } },
  ],
  options: { tsConfig: { fileName: 'tsconfig.json' }, tsPreCompilationDeps: true, doNotFollow: { path: 'node_modules' } },
};

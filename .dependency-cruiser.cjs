// One row a room: the rooms and packages it may import. Everything not listed is an error.
const rooms = {
  'src/std': { rooms: [], npm: [] },
  'src/model': { rooms: ['src/std'], npm: [] },
  'src/codec': { rooms: ['src/std', 'src/model'], npm: [] },
  'src/kernel': { rooms: ['src/std'], npm: ['nact'] },
  'src/store': { rooms: ['src/std', 'src/model'], npm: ['lmdb', 'msgpackr'] },
  'src/drivers': { rooms: ['src/std', 'src/codec'], npm: ['ws', 'xmlrpc', 'selfsigned', '@grpc/grpc-js'] },
  'src/mesh': { rooms: ['src/std', 'src/drivers'], npm: ['msgpackr'] },
  'src/rpc': { rooms: ['src/std', 'src/codec', 'src/drivers'], npm: [] },
  'src/objects': { rooms: ['src/std', 'src/model', 'src/codec', 'src/kernel', 'src/store', 'src/drivers'], npm: [] },
  'src/rules': { rooms: ['src/std', 'src/model', 'src/codec', 'src/store', 'src/objects', 'src/drivers'], npm: [] },
  'src/pool': {
    rooms: ['src/std', 'src/model', 'src/store', 'src/objects', 'src/rules', 'src/mesh', 'src/drivers'],
    npm: [],
  },
  'src/assembly': {
    rooms: ['src/std', 'src/model', 'src/store', 'src/drivers', 'src/mesh', 'src/objects', 'src/rules', 'src/pool', 'actors'],
    npm: [],
  },
  'src/edge': {
    rooms: ['src/std', 'src/model', 'src/codec', 'src/store', 'src/objects', 'src/rules', 'src/drivers'],
    npm: [],
  },
  'src/cli': { rooms: ['src/std'], npm: [] },
  'src/daemons': { rooms: ['src/std', 'src/codec', 'src/drivers', 'src/rpc'], npm: [] },
  'src/plugins': { rooms: ['src/std', 'src/drivers'], npm: [] },
  'src/simulation': {
    rooms: ['src/std', 'src/model', 'src/codec', 'src/kernel', 'src/store', 'src/drivers', 'src/rpc', 'src/objects', 'src/rules', 'src/edge', 'src/daemons', 'src/mesh', 'src/pool', 'src/assembly', 'actors'],
    npm: [],
  },
  actors: { rooms: ['src/std', 'src/model', 'src/store', 'src/objects', 'src/rules', 'src/drivers'], npm: [] },
};
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
      name: 'classes, objects, rules, the edge, the mesh, the pool and the assembly see driver interfaces, never a driver',
      severity: 'error',
      from: { path: '^(actors|src/(objects|rules|edge|mesh|pool|assembly))/' },
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

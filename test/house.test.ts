// Goal: every file is reached by a program, stands in its room, and has the form that docs/house.md asks for.
// Method: the import graph is walked from the programs, the table of rooms is read from docs/house.md and
// held against every import, and each source file is parsed for its functions and read for its lines.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { behaviours } from '../actors/behaviours.ts';
import { classes } from '../actors/index.ts';
import { catalogOf } from '../src/objects/catalog.ts';
import { sources, text } from './tree.ts';

/** The program of `npm run simulate`, and the pool in which the log in etcd is simulated by itself. */
const simulations = ['test/simulation/simulate.ts', 'test/log/etcd/pool.ts'];

interface Module {
  readonly source: string;
  readonly dependencies: readonly {
    readonly resolved: string;
    readonly module: string;
    readonly dependencyTypes: readonly string[];
  }[];
}
const cruised = spawnSync(
  process.execPath,
  [
    'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    '--output-type',
    'json',
    'src',
    'actors',
    ...simulations,
  ],
  { encoding: 'utf8', maxBuffer: 1 << 28 },
);
const report: {
  readonly modules: readonly Module[];
  readonly summary: {
    readonly violations: readonly { readonly rule: { readonly name: string }; from: string; to: string }[];
  };
} = JSON.parse(cruised.stdout);
const { modules } = report;
const importsOf = new Map(
  modules.map(({ source, dependencies }) => [source, dependencies.map(({ resolved }) => resolved)]),
);

const reachedFrom = (programs: readonly string[]): ReadonlySet<string> => {
  const reached = new Set<string>();
  const left = [...programs];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    left.push(...(importsOf.get(path) ?? []));
  }
  return reached;
};

/** What `npm run docs` loads of the build. */
const loadedByDocs = [...text('scripts/docs.mjs').matchAll(/built\(([^)]*)\)/g)]
  .map(([, parts = '']) => [...parts.matchAll(/'([^']+)'/g)].map(([, part]) => part).join('/'))
  .filter((path) => path !== '')
  .map((path) => path.replace(/\.js$/, '.ts'));

const programs = [
  'src/main.ts',
  // Each is started by the one before, as a process of its own.
  'src/main/examine-store.ts',
  'src/daemons/xenopsd/main.ts',
  ...sources.filter((path) => /^src\/plugins\/[a-z-]+\.ts$/.test(path)),
  ...loadedByDocs,
  ...simulations,
];

/**
 * Rules that recorded cases of the XenAPI check already, while the message or HTTP action that needs them is
 * not built. Once it is, the rule must be reached and its row goes.
 */
const ahead: Readonly<Record<string, string | { readonly action: string }>> = {
  'actors/bond/mac.ts': 'Bond.create',
  'actors/cluster/admission.ts': 'Cluster.pool_destroy',
  'actors/cluster_host/admission.ts': 'Cluster_host.enable',
  'actors/pif/gateway.ts': 'PIF.reconfigure_ip',
  'actors/pool/ha/planning.ts': 'pool.enable_ha',
  'actors/pool/ha/evacuation.ts': 'pool.enable_ha',
  'actors/pool/ha/packing.ts': 'pool.enable_ha',
  'actors/pool/wlb-url.ts': 'pool.initialize_wlb',
  'src/edge/accept.ts': { action: 'rrd_updates' },
  'src/rules/addresses.ts': 'PIF.reconfigure_ip',
  'src/rules/map-keys.ts': 'Bond.set_property',
};

describe('every file', () => {
  const reached = reachedFrom(programs);

  test('is reached from a program or from the simulation, unless it is ahead of its message', () => {
    expect(programs.filter((path) => !existsSync(path))).toEqual([]);
    const lost = sources.filter((path) => !reached.has(path) && !(path in ahead));
    expect(lost).toEqual([]);
  });

  test('is no longer called ahead of its message once that is built or the file is reached', () => {
    const catalog = catalogOf(classes, behaviours);
    const isBuilt = (what: (typeof ahead)[string]): boolean => {
      const message = typeof what === 'string' ? catalog.find(what) : catalog.action(what.action);
      return message === undefined || catalog.handler(message) !== undefined;
    };
    const settled = Object.entries(ahead).filter(([path, what]) => reached.has(path) || isBuilt(what));
    expect(settled).toEqual([]);
    expect(Object.keys(ahead).filter((path) => !existsSync(path))).toEqual([]);
    expect(
      Object.values(ahead).every(
        (what) => typeof what === 'string' || catalog.action(what.action) !== undefined,
      ),
    ).toBe(true);
  });

  test('would be missed if nothing reached it', () => {
    expect(reachedFrom(['src/main.ts']).has('src/simulation/pool/simulate.ts')).toBe(false);
    expect(reached.size).toBeGreaterThan(600);
  });
});

interface Room {
  readonly folder: string;
  /** Empty where it may import every room above. */
  readonly rooms: readonly string[];
  readonly packages: readonly string[];
}

const cells = (line: string): readonly string[] => line.split('|').map((cell) => cell.trim());
const words = (cell: string): readonly string[] =>
  cell
    .replaceAll(/\([^)]*\)|`/g, '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** The table of docs/house.md, in its order. */
const rooms: readonly Room[] = text('docs/house.md')
  .split('\n')
  .filter((line) => /^\| `(src\/[a-z]+|actors)` \|/.test(line))
  .map((line) => {
    const [, folder = '', , may = '', packages = ''] = cells(line);
    const named = words(may).map((word) => (word === 'actors' ? word : `src/${word}`));
    return {
      folder: folder.replaceAll('`', ''),
      rooms: may.startsWith('every room') ? [] : named,
      packages: words(packages),
    };
  });
const orderOf = new Map(rooms.map(({ folder }, at) => [folder, at]));
const roomOf = (path: string): string | undefined => /^(src\/[a-z]+|actors)(?=\/)/.exec(path)?.[0];

describe('the table of rooms in docs/house.md', () => {
  test('is followed by every import', () => {
    const { violations } = report.summary;
    expect(violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`)).toEqual([]);
    // A cruiser that reads nothing finds nothing.
    expect(modules.filter(({ source }) => roomOf(source) !== undefined).length).toBeGreaterThan(600);
  });

  test('has every folder, and only those that there are', () => {
    const folders = new Set(sources.map(roomOf).filter((room) => room !== undefined && room !== 'src/main'));
    expect([...orderOf.keys()].toSorted()).toEqual([...folders].toSorted());
  });

  test('is the order of rooms: no import runs back up it', () => {
    const back = modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ resolved }) => {
          const [from, to] = [orderOf.get(roomOf(source) ?? ''), orderOf.get(roomOf(resolved) ?? '')];
          return from !== undefined && (to === undefined ? resolved.startsWith('src/main') : to > from);
        })
        .map(({ resolved }) => `${source} -> ${resolved}`),
    );
    expect(back).toEqual([]);
    expect(rooms.flatMap(({ folder, rooms: may }) => may.filter((to) => !before(to, folder)))).toEqual([]);
  });

  test('names the packages that its rooms import, and no others', () => {
    const imported = (room: string): readonly string[] => {
      const names = modules
        .filter(({ source }) => roomOf(source) === room)
        .flatMap(({ dependencies }) => dependencies)
        .filter(({ resolved }) => resolved.includes('node_modules/'))
        .map(({ resolved }) => /.*node_modules\/(?:@types\/)?((?:@[^/]+\/)?[^/]+)/.exec(resolved)?.[1] ?? '');
      return [...new Set(names)].toSorted();
    };
    for (const { folder, packages } of rooms) {
      expect([folder, ...imported(folder)]).toEqual([folder, ...packages.toSorted()]);
    }
  });

  test('leaves no dependency of the product that nothing imports', () => {
    const { dependencies } = JSON.parse(text('package.json'));
    const imported = modules
      .filter(({ source }) => !simulations.includes(source))
      .flatMap((one) => one.dependencies);
    const unused = Object.keys(dependencies).filter(
      (name) => !imported.some(({ module }) => module === name || module.startsWith(`${name}/`)),
    );
    expect(unused).toEqual([]);
  });
});

const longestLine = 110;
const longestFunction = 60;
/**
 * Closures are our objects: one that makes an object holds its operations, which are functions of their own.
 */
const longestObject = 100;
/** Objects that have more to them. The list gets shorter only. */
const longestOfAll = 130;
const largeObjects = [
  'src/daemons/xenopsd/qemu/backend.ts',
  'src/drivers/storage/datapath-holdings.ts',
  'src/edge/edge.ts',
  'src/edge/events.ts',
  'src/mesh/answers.ts',
  'src/mesh/peer.ts',
  'src/simulation/etcd/history.ts',
  'src/simulation/pool/world.ts',
];

interface Measured {
  readonly name: string;
  /** From its first line to its last. */
  readonly lines: number;
  /** Without the functions in it. */
  readonly own: number;
}

const functionsOf = (path: string): readonly Measured[] => {
  const parsed = ts.createSourceFile(path, text(path), ts.ScriptTarget.Latest, true);
  const measured: Measured[] = [];
  const lineOf = (position: number): number => parsed.getLineAndCharacterOfPosition(position).line;
  /** Answers how many lines the functions below a node take. */
  const visit = (node: ts.Node): number => {
    let within = 0;
    ts.forEachChild(node, (child) => {
      within += visit(child);
    });
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return within;
    const first = lineOf(node.getStart(parsed));
    const lines = lineOf(node.end) - first + 1;
    measured.push({ name: `${path}:${first + 1}`, lines, own: lines - within });
    // The line on which it begins is one of the function around it, too.
    return lines - 1;
  };
  visit(parsed);
  return measured;
};

describe('every source file', () => {
  test('has lines of at most 110 columns, comments and texts too', () => {
    const long = sources.flatMap((path) =>
      text(path)
        .split('\n')
        .flatMap((line, at) => (line.length > longestLine ? [`${path}:${at + 1}`] : [])),
    );
    expect(long).toEqual([]);
  });

  test('has functions of at most 60 lines, and 100 with those that it makes an object of', () => {
    const measured = sources.flatMap((path) => {
      const objectMax = largeObjects.includes(path) ? longestOfAll : longestObject;
      return functionsOf(path).map((one) => ({ ...one, objectMax }));
    });
    const long = measured.filter(({ lines, own, objectMax }) => own > longestFunction || lines > objectMax);
    expect(long).toEqual([]);
    expect(largeObjects.filter((path) => !existsSync(path))).toEqual([]);
    expect(measured.length).toBeGreaterThan(3_000);
  });
});

const before = (to: string, from: string): boolean => (orderOf.get(to) ?? 99) < (orderOf.get(from) ?? 99);

import { type WireMessage, wireMessages } from '../model/derive.ts';
import { page, table } from '../model/docs.ts';
import type { Catalog } from '../objects/catalog.ts';
import { own } from '../std/own.ts';
import { whyMissing, whyUnserved } from './missing.ts';

/**
 * How a message is answered: by a handler, by what its declaration implies, with MESSAGE_REMOVED, or not
 * yet, which is NOT_IMPLEMENTED. Some handlers refuse single arguments so too.
 */
export type Coverage = 'handler' | 'declaration' | 'removed' | 'missing';

export const coverageOf = (catalog: Catalog, message: WireMessage): Coverage => {
  if (message.removed) return 'removed';
  // Events are the edge's own: no object answers them.
  if (catalog.handler(message) !== undefined || message.cls.name === 'event') return 'handler';
  const needsHandler = ['explicit', 'constructor', 'destructor'].includes(message.kind);
  return needsHandler ? 'missing' : 'declaration';
};

/** Names of messages that real clients call, by tier: `{ "T1": ["VM.get_record"] }`. */
export type ClientUsage = Readonly<Record<string, readonly string[]>>;

const tierTitles: Readonly<Record<string, string>> = {
  T1: 'log in, list, watch',
  T2: 'life cycle, disks, networks',
  T3: 'snapshots, copies, moves, consoles, metrics',
  T4: 'administration of pools',
  T5: 'the rest',
};

/** The page that says what is implemented, read off the catalog of a running server. */
export const coveragePage = (catalog: Catalog, usage: ClientUsage): string =>
  page([
    '# Coverage',
    'Generated from the declarations and handlers in `actors` by `npm run docs`. What is missing answers ' +
      '`NOT_IMPLEMENTED` after all checks of the call; removed messages answer `MESSAGE_REMOVED` and count ' +
      'neither as implemented nor as missing. An implemented message may still refuse single arguments.',
    table(
      ['Messages', 'Implemented', 'Of', 'By a handler', 'By declaration', 'Missing', 'Removed'],
      [['All classes', ...figures(catalog, catalog.messages)]],
    ),
    '## What real clients call',
    tierTable(catalog, usage),
    ...tierGaps(catalog, usage),
    ...reasons(catalog, usage),
    '## By HTTP',
    ...httpPart(catalog),
    '## By class',
    table(
      ['Class', 'Implemented', 'Of', 'By a handler', 'By declaration', 'Missing', 'Removed'],
      catalog.classes.map((cls) => [
        `[${cls.name}](api/${cls.name}.md)`,
        ...figures(catalog, wireMessages(cls)),
      ]),
    ),
    '## By message',
    ...catalog.classes.flatMap((cls) => classPart(catalog, cls.name, wireMessages(cls))),
  ]);

const counted = (catalog: Catalog, messages: readonly WireMessage[], ...which: Coverage[]): number =>
  messages.filter((message) => which.includes(coverageOf(catalog, message))).length;

const figures = (catalog: Catalog, messages: readonly WireMessage[]): readonly string[] =>
  [
    counted(catalog, messages, 'handler', 'declaration'),
    counted(catalog, messages, 'handler', 'declaration', 'missing'),
    counted(catalog, messages, 'handler'),
    counted(catalog, messages, 'declaration'),
    counted(catalog, messages, 'missing'),
    counted(catalog, messages, 'removed'),
  ].map(String);

/** Names that no class has are the dispatcher's own, such as `system.listMethods`. */
const usageOf = (catalog: Catalog, method: string): Coverage => {
  const message = catalog.find(method);
  if (message !== undefined) return coverageOf(catalog, message);
  return method === 'system.listMethods' ? 'handler' : 'missing';
};

const tierTable = (catalog: Catalog, usage: ClientUsage): string =>
  table(
    ['Tier', 'What it is for', 'Implemented', 'Of', 'Removed'],
    Object.entries(usage).map(([tier, methods]) => {
      const all = methods.map((method) => usageOf(catalog, method));
      const removed = all.filter((one) => one === 'removed').length;
      const missing = all.filter((one) => one === 'missing').length;
      return [
        tier,
        own(tierTitles, tier) ?? '',
        String(all.length - removed - missing),
        String(all.length - removed),
        String(removed),
      ];
    }),
  );

const tierGaps = (catalog: Catalog, usage: ClientUsage): readonly string[] =>
  Object.entries(usage).flatMap(([tier, methods]) => {
    const missing = methods.filter((method) => usageOf(catalog, method) === 'missing');
    return missing.length === 0 ? [] : [`Missing of ${tier}: ${names(missing)}.`];
  });

/** Tiers of which nothing is left out without a reason. */
export const reasonedTiers = ['T1', 'T2', 'T3'] as const;

export const missingOf = (catalog: Catalog, usage: ClientUsage): readonly string[] =>
  reasonedTiers
    .flatMap((tier) => own(usage, tier) ?? [])
    .filter((method) => usageOf(catalog, method) === 'missing');

const reasons = (catalog: Catalog, usage: ClientUsage): readonly string[] => {
  const missing = missingOf(catalog, usage);
  if (missing.length === 0) return [];
  const rows = missing.map((method) => [names([method]), whyMissing.get(method) ?? '']);
  return [`## Why messages of ${reasonedTiers.join(', ')} are missing`, table(['Message', 'Why'], rows)];
};

/** Actions that nothing answers but that they are not built. What brings calls is the edge's own. */
export const unservedOf = (catalog: Catalog): readonly string[] =>
  catalog.actions
    .filter((message) => catalog.handler(message) === undefined && message.cls.name !== 'session')
    .map(({ name }) => name);

const httpPart = (catalog: Catalog): readonly string[] => {
  const unserved = unservedOf(catalog);
  const served = catalog.actions.flatMap(({ name }) => (unserved.includes(name) ? [] : [name]));
  const rows = unserved.map((name) => [names([name]), whyUnserved.get(name) ?? '']);
  return [`Served: ${names(served)}.`, table(['Not served', 'Why'], rows)];
};

const sentences: readonly (readonly [Coverage, string])[] = [
  ['handler', 'By a handler'],
  ['declaration', 'By declaration'],
  ['missing', 'Missing'],
  ['removed', 'Removed'],
];

const classPart = (catalog: Catalog, cls: string, messages: readonly WireMessage[]): readonly string[] =>
  messages.length === 0
    ? []
    : [
        `### ${cls}`,
        ...sentences.flatMap(([coverage, sentence]) => {
          const covered = messages.filter((message) => coverageOf(catalog, message) === coverage);
          return covered.length === 0 ? [] : [`${sentence}: ${names(covered.map(({ name }) => name))}.`];
        }),
      ];

const names = (all: readonly string[]): string => all.map((name) => `\`${name}\``).join(', ');

import { classes } from '../../actors/index.ts';
import { delivers, parseToken, subscriptionOf, tokenText } from '../../src/edge/subscriptions.ts';
import { parseWhere } from '../../src/objects/where.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Adapter, against, outcome } from './subject.ts';

export const eventClasses: Adapter = ({ when }) => {
  const cls = classes.find(({ name }) => name === when['subscribe to']);
  if (cls === undefined) return { undeclared: when['subscribe to'] };
  return { 'generates events': 'events' in cls ? cls.events !== false : true };
};

const tokenOf = (text: string): Promise<unknown> =>
  outcome(() => {
    const token = parseToken(text);
    return {
      accepted: true,
      generation: String(token.generation),
      'message generation': String(token.messages),
      'canonical token': tokenText(token),
    };
  });

/** The one class or object that an entry subscribes to. */
const entryOf = (entry: string): unknown => {
  const { classes: whole, objects } = subscriptionOf([entry]);
  const [cls] = whole;
  const [object] = objects;
  if (object === undefined) return { class: cls };
  const at = object.indexOf('/');
  return { class: object.slice(0, at), object: object.slice(at + 1) };
};

export const tokensAndSubscriptions: Adapter = ({ when }) => {
  if (when['event.from token'] !== undefined) return tokenOf(when['event.from token']);
  if (when['class'] !== undefined) return entryOf(when['class']);
  // Changes name their class in lower case whatever the class is called.
  const cls = String(when['event.class']).toLowerCase();
  return { delivered: delivers(subscriptionOf(when['classes']), cls, when['event.ref']) };
};

type Operand = { readonly field: string } | { readonly literal: string };
type Tree = 'true' | 'false' | readonly [string, ...unknown[]];
type Row = Readonly<Record<string, string>>;

const words = (tree: unknown, kind: 'field' | 'literal'): readonly string[] => {
  if (Array.isArray(tree)) return tree.flatMap((one) => words(one, kind));
  const word = typeof tree === 'object' && tree !== null ? (tree as Record<string, string>)[kind] : undefined;
  return word === undefined ? [] : [word];
};

const textOf = (operand: Operand, row: Row): string | undefined =>
  'field' in operand ? row[operand.field] : operand.literal;

const holds = (tree: Tree, row: Row): boolean => {
  if (typeof tree === 'string') return tree === 'true';
  const [word, a, b] = tree;
  if (word === 'not') return !holds(a as Tree, row);
  if (word === 'eq') return textOf(a as Operand, row) === textOf(b as Operand, row);
  return word === 'and'
    ? holds(a as Tree, row) && holds(b as Tree, row)
    : holds(a as Tree, row) || holds(b as Tree, row);
};

/** Every row in which each field has one of the literals or something else. */
const rowsFor = (tree: unknown): readonly Row[] =>
  words(tree, 'field').reduce<readonly Row[]>(
    (rows, field) =>
      [...words(tree, 'literal'), 'else'].flatMap((text) => rows.map((row) => ({ ...row, [field]: text }))),
    [{}],
  );

/** Two expressions mean the same when they pick the same rows. */
export const expressions: Adapter = ({ when, then }) => {
  let where: ReturnType<typeof parseWhere>;
  try {
    where = parseWhere(when['expression']);
  } catch (error) {
    if (error instanceof Fault) return { rejected: true };
    throw error;
  }
  const tree: Tree | undefined = then['parsed'];
  if (tree === undefined) return { parsed: 'taken' };
  const rows = rowsFor(tree);
  return against(
    rows.map((row) => where(row)),
    rows.map((row) => holds(tree, row)),
  );
};

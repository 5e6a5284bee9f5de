// Goal: no plain object is indexed by a key that may come from outside: such as `constructor`, which every object has.
// Method: the compiler's own types of every element access and `in` of the sources; the rule is tried on a bad file.
import { relative } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const folder = process.cwd();
const rules = ts.getParsedCommandLineOfConfigFile(
  'tsconfig.json',
  {},
  {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: () => {},
  },
);

/** The one place that looks a key up, and where rows and messages are made field by field, as they are declared. */
const lookUp = 'src/std/own.ts';
const makesRows = /^src\/(store\/[a-z]+|mesh\/decode|rules\/fates\/fate|drivers\/node\/etcd\/protobuf)\.ts$/;

const withoutCasts = (node: ts.Expression): ts.Expression =>
  ts.isAsExpression(node) || ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node)
    ? withoutCasts(node.expression)
    : node;

/** Any text can be it: not one of some that the code names. */
const isOpen = (type: ts.Type): boolean =>
  type.isUnion()
    ? type.types.some(isOpen)
    : (type.flags &
        (ts.TypeFlags.String | ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.TemplateLiteral)) !==
      0;

/** Of a row or a declaration: whoever reads such a thing has to look at it anyway. */
const isLoose = (checker: ts.TypeChecker, type: ts.Type): boolean => {
  const known = checker.getNonNullableType(type);
  return (
    (type.flags & ts.TypeFlags.Any) !== 0 ||
    (type.flags & ts.TypeFlags.Unknown) !== 0 ||
    known.symbol?.name === 'Field' ||
    checker.typeToString(known) === '{}'
  );
};

const isWritten = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node.parent) &&
  node.parent.left === node &&
  node.parent.operatorToken.kind === ts.SyntaxKind.EqualsToken;

const offences = (checker: ts.TypeChecker, source: ts.SourceFile, path: string): string[] => {
  const found: string[] = [];
  const note = (node: ts.Node): void => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    found.push(`${path}:${line + 1} ${node.getText(source).slice(0, 80)}`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isElementAccessExpression(node)) {
      const key = checker.getTypeAtLocation(withoutCasts(node.argumentExpression));
      const isList = checker.isArrayLikeType(
        checker.getNonNullableType(checker.getTypeAtLocation(node.expression)),
      );
      const bad = isWritten(node)
        ? !makesRows.test(path)
        : !isLoose(checker, checker.getTypeAtLocation(node));
      if (isOpen(key) && !isList && bad) note(node);
    }
    const isIn = ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword;
    if (isIn && isOpen(checker.getTypeAtLocation(withoutCasts(node.left)))) note(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
};

const check = (paths: readonly string[], host?: ts.CompilerHost): readonly string[] => {
  const program = ts.createProgram(paths, rules?.options ?? {}, host);
  const checker = program.getTypeChecker();
  return paths.flatMap((path) => {
    const source = program.getSourceFile(path);
    const name = relative(folder, path);
    return source === undefined || name === lookUp ? [] : offences(checker, source, name);
  });
};

test('plain objects are looked up by `own`, where the key is not one of those that the code names', () => {
  const sources = (rules?.fileNames ?? []).filter((path) => /^(src|actors)\//.test(relative(folder, path)));
  expect(sources.length).toBeGreaterThan(400);
  expect(check(sources)).toEqual([]);
}, 120_000);

test('the rule sees lookups, casts, writes and `in`, and leaves lists, maps and known keys alone', () => {
  const path = `${folder}/src/tried.ts`;
  const text = `
    const table: Readonly<Record<string, number>> = { a: 1 };
    const fixed = { a: 1, b: 2 } as const;
    export const bad = (key: string, to: Record<string, number>): unknown => {
      to[key] = 1;
      return [table[key], fixed[key as 'a'], key in fixed, table['x' + key]];
    };
    export const good = (key: 'a' | 'b', list: readonly number[], map: ReadonlyMap<string, number>): unknown =>
      [table['a'], fixed[key], list[0], map.get(key), Object.hasOwn(fixed, key)];
  `;
  const host = ts.createCompilerHost(rules?.options ?? {});
  const { getSourceFile, fileExists } = host;
  const tried = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  host.getSourceFile = (name, ...rest) => (name === path ? tried : getSourceFile.call(host, name, ...rest));
  host.fileExists = (name) => name === path || fileExists.call(host, name);
  const found = check([path], host).map((one) => one.replace(/^\S+ /, ''));
  expect(found).toEqual(['to[key]', 'table[key]', "fixed[key as 'a']", 'key in fixed', "table['x' + key]"]);
}, 60_000);

/**
 * What a plain object itself has under a key that may come from outside: never what every object inherits,
 * such as `constructor`.
 */
export const own = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

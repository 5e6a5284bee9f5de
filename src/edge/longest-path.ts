/** What is found by the longest path that a request's path begins with. */
export interface Pathed {
  readonly path: string;
}

/** Longest first, so that the first that fits is the one. */
export const longestFirst = <T extends Pathed>(routes: readonly T[]): readonly T[] =>
  routes.toSorted((a, b) => b.path.length - a.path.length);

/** Of routes in that order: letters count and not folders, so `/export` has `/exportX` as well. */
export const routeAt = <T extends Pathed>(
  routes: readonly T[],
  path: string,
  may: (route: T) => boolean = () => true,
): T | undefined => routes.find((route) => may(route) && path.startsWith(route.path));

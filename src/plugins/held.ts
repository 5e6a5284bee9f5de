/**
 * Beside an image that a datapath has handed out stands this mark. Who holds an image opens it by its
 * path, so nothing may replace it or build on it meanwhile.
 */
export const HELD_SUFFIX = '.held';

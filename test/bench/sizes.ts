/** True with `--tiny`: every benchmark runs in a moment, to see that it still does. Its figures mean nothing. */
export const tiny = process.argv.includes('--tiny');

/** How many of something a benchmark takes: as many as its figures are about, or few. */
export const sized = <T>(whole: T, few: T): T => (tiny ? few : whole);

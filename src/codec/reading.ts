/**
 * A text on its way to be read. It pauses after each piece of the text, so that who reads a long one can let
 * others have their turn.
 */
export type PausingRead<T> = Generator<undefined, T, undefined>;

/** UTF-16 units between two pauses: some milliseconds of work, whatever is in the text. */
export const pieceUnits = 64 * 1024;

export const readAtOnce = <T>(reading: PausingRead<T>): T => {
  for (;;) {
    const step = reading.next();
    if (step.done === true) return step.value;
  }
};

export const readInPieces = async <T>(reading: PausingRead<T>, rest: () => Promise<void>): Promise<T> => {
  for (;;) {
    const step = reading.next();
    if (step.done === true) return step.value;
    await rest();
  }
};

/**
 * Refuses what `wrong` finds in a text, piece by piece. Neither half of a surrogate pair is looked at alone.
 */
export const refuseCharacters = function* (
  text: string,
  wrong: RegExp,
  failure: (at: number) => Error,
): PausingRead<void> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + pieceUnits, text.length);
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to -= 1;
    const found = wrong.exec(text.slice(from, to));
    if (found !== null) throw failure(from + found.index);
    from = to;
    if (from < text.length) yield;
  }
};

export const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;

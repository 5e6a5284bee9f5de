/**
 * What came from outside is not what it should be: says what was expected and where. Readers throw nothing
 * else.
 */
export class DecodeFailure extends Error {
  /** Where in the text, in UTF-16 units from 0; undefined when the text as a whole is at fault. */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} at offset ${offset}`);
    this.name = 'DecodeFailure';
    this.offset = offset;
  }
}

const shownMax = 40;

/** A piece of foreign text for an error message. */
export const shown = (text: string): string =>
  JSON.stringify(text.length > shownMax ? `${text.slice(0, shownMax)}...` : text);

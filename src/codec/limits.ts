/** How much one text may make a reader build. Past a limit the whole text is refused. */
export interface DecodeLimits {
  /** Sets and structs inside one another. Readers call themselves once for each, so keep it below 1,000. */
  readonly depthMax: number;
  /** Values in all, those inside sets and structs counted too. */
  readonly itemsMax: number;
  /** UTF-16 units of the whole text. */
  readonly textMax: number;
}

/** Wide enough for the largest honest call and for a record list of some thousand VMs. */
export const decodeLimits: DecodeLimits = { depthMax: 64, itemsMax: 1_000_000, textMax: 64 * 1024 * 1024 };

/** The text is not what it should be: says what was expected and where. Readers throw nothing else. */
export class DecodeFailure extends Error {
  /** Where in the text, in UTF-16 units from 0; undefined when the text as a whole is at fault. */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} at offset ${offset}`);
    this.name = 'DecodeFailure';
    this.offset = offset;
  }
}

export const refuseLong = (text: string, limits: DecodeLimits): void => {
  if (text.length > limits.textMax) {
    throw new DecodeFailure(`Expected at most ${limits.textMax} characters, got ${text.length}`);
  }
};

const shownMax = 40;

/** A piece of foreign text for an error message. */
export const shown = (text: string): string =>
  JSON.stringify(text.length > shownMax ? `${text.slice(0, shownMax)}...` : text);

import { DecodeFailure } from '../std/decode-failure.ts';

/** How much one text may make a reader build. Past a limit the whole text is refused. */
export interface DecodeLimits {
  /** Sets and structs inside one another. Readers call themselves once for each, so keep it below 1,000. */
  readonly depthMax: number;
  /** Values in all, those inside sets and structs counted too. */
  readonly itemsMax: number;
  /** UTF-16 units of the whole text. */
  readonly textMax: number;
  /** Of one tag with its attributes; absent: as much as clients need, who write none. */
  readonly tagMax?: number;
}

/** Wide enough for the largest honest call and for a record list of some thousand VMs. */
export const decodeLimits: DecodeLimits = { depthMax: 64, itemsMax: 1_000_000, textMax: 64 * 1024 * 1024 };

export const refuseLong = (text: string, limits: DecodeLimits): void => {
  if (text.length > limits.textMax) {
    throw new DecodeFailure(`Expected at most ${limits.textMax} characters, got ${text.length}`);
  }
};

/** What somebody sent is no image, or one that asks for more than is taken. The message says how to go on. */
export class ImageRefused extends Error {
  /** It was good as far as it went. */
  readonly ended: boolean;

  constructor(message: string, ended = false) {
    super(message);
    this.name = 'ImageRefused';
    this.ended = ended;
  }
}

export const demandOf =
  (kind: string) =>
  (fine: boolean, message: string): void => {
    if (!fine) throw new ImageRefused(`The ${kind} image cannot be taken: ${message}`);
  };

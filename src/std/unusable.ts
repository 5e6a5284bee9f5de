/**
 * Something on this host's disk that cannot be used as it is. The message says in a sentence or two what is
 * wrong, what is lost and what to do; it is shown without a stack.
 */
export class UnusableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnusableError';
  }
}

/** Refused by the command itself: `Error:` and the sentence, on the client's stderr. */
export class CommandFailure extends Error {
  constructor(sentence: string) {
    super(sentence);
    this.name = 'CommandFailure';
  }
}

/** A parameter names something that there is not, such as a field. */
export class ParameterFailure extends Error {
  readonly parameter: string;

  constructor(parameter: string) {
    super(`Missing parameter ${parameter}`);
    this.name = 'ParameterFailure';
    this.parameter = parameter;
  }
}

/** All has been said; only the status is left to tell. */
export class Ended extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The command ended with the status ${status}`);
    this.name = 'Ended';
    this.status = status;
  }
}

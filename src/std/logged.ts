/** Characters of one text of a line of a log; a stack is longer. */
export const loggedCharsMax = 1_024;
export const loggedStackCharsMax = 8_192;

/**
 * An argument of a program as it may be written to the log: whoever names himself to a proxy is kept out of
 * it.
 */
export const loggedArgument = (argument: string): string =>
  argument.replace(/(proxy_(?:username|password)=).*$/s, '$1(filtered)');

/**
 * What of a context reaches a log: short texts, numbers and flags, and of an error its name, message and
 * stack. Anything else, such as a request, a record or a map, might hold what a client sent, and is left out.
 */
export const logged = (context: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(context).flatMap(([name, value]) => {
      const written = loggedValue(value);
      return written === undefined ? [] : [[name, written]];
    }),
  );

const loggedValue = (value: unknown): unknown => {
  if (value instanceof Error) {
    const { name, message, stack = '' } = value;
    return { name, message: message.slice(0, loggedCharsMax), stack: stack.slice(0, loggedStackCharsMax) };
  }
  switch (typeof value) {
    case 'string':
      return value.slice(0, loggedCharsMax);
    case 'bigint':
      return String(value);
    case 'number':
    case 'boolean':
      return value;
    default:
      return undefined;
  }
};

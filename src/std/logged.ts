/** An argument of a program as it may be written to the log: whoever names himself to a proxy is kept out of it. */
export const loggedArgument = (argument: string): string =>
  argument.replace(/(proxy_(?:username|password)=).*$/s, '$1(filtered)');

/** Xen Orchestra's client, which ships no types. */
declare module 'xen-api' {
  export const Xapi: new (options: object) => any;
}

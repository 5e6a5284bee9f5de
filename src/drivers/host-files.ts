/** What a host keeps in files of its own, as far as clients may have it. */
export interface HostFiles {
  /** Who changed what: lines of JSON, oldest first. */
  audit(): AsyncIterable<Uint8Array>;
  /** What the programs of this host have said of late, each up to a limit. */
  logs(): AsyncIterable<HostFile>;
  /** What the pool is made of anew, secrets too. */
  backup(): AsyncIterable<HostFile>;
}

/** One that is small enough to be there as a whole. */
export interface HostFile {
  /** Of letters, digits, dots, dashes and slashes. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What a host keeps in files of its own, as far as clients may have it. */
export interface HostFiles {
  /** Who changed what: lines of JSON, oldest first. */
  audit(): AsyncIterable<Uint8Array>;
  /** What the programs of this host have said of late, each up to a limit. */
  logs(): AsyncIterable<LogFile>;
}

export interface LogFile {
  /** Of letters, digits, dots and dashes. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

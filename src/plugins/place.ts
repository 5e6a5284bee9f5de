/** The `device_config` of a repository. */
export type Configuration = Readonly<Record<string, string>>;

/** How the folder of a repository of disk images comes to be on this host, and goes again. */
export interface Place {
  /** Readies the folder of a new repository. Answers what to attach it with; `leave` follows. */
  make(
    configuration: Configuration,
    uuid: string,
  ): Promise<{ readonly folder: string; readonly configuration: Configuration }>;
  /** Of one that is reached already likewise. */
  reach(configuration: Configuration): Promise<string>;
  /** Absent: there is nothing to leave. */
  readonly leave?: (folder: string) => Promise<void>;
  /** There is no repository in the folder any more. */
  remove(folder: string): Promise<void>;
  /** What is found there; `at` looks into one folder. */
  look(configuration: Configuration, at: (folder: string) => Promise<object | undefined>): Promise<Found[]>;
}

/** As SR.probe answers it. */
export interface Found {
  readonly configuration: Configuration;
  readonly complete: boolean;
  readonly sr?: object;
  readonly extra_info: Configuration;
}

/** The toolstack tells an attach which repository it is of; one that was made here says so itself. */
export const uuidIn = ({ sr_uuid, uuid }: Configuration): string | undefined => {
  const found = sr_uuid ?? uuid;
  return found !== undefined && UUID.test(found) ? found : undefined;
};

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// Where a server of NBD listens on this host, as storage says it.

export interface NbdExport {
  /** Of the Unix socket. */
  readonly socketPath: string;
  readonly exportName: string;
}

/**
 * Reads `nbd:unix:<path>:exportname=<name>`, as drivers and datapaths write it, or
 * `nbd+unix:///<name>?socket=<path>`; undefined for anything else.
 */
export const nbdExportOf = (uri: string): NbdExport | undefined => {
  const [, socketPath, exportName = ''] = /^nbd:unix:(\/.*?)(?::exportname=(.*))?$/.exec(uri) ?? [];
  if (socketPath !== undefined) return { socketPath, exportName };
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const socket = url?.protocol === 'nbd+unix:' ? url.searchParams.get('socket') : null;
  if (url === undefined || !socket?.startsWith('/')) return undefined;
  return { socketPath: socket, exportName: decoded(url.pathname.slice(1)) };
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

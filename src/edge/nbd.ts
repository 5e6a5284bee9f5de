import type { Duplex } from 'node:stream';
import type { HttpHandler, HttpHead } from '../drivers/http/http.ts';
import {
  type Agreed,
  greet,
  type NamedExport,
  optionError,
  turnAway,
  untilNamed,
  untilTls,
} from '../rules/nbd/options.ts';
import { type NbdPeer, nbdPeer } from '../rules/nbd/peer.ts';
import type { Clock } from '../std/clock.ts';

/** Until a client has said which disk it wants. */
const NEGOTIATION_MS_MAX = 30_000;

export interface NbdDoor {
  /** What clients ask by HTTP goes the same way: sessions, rights, and where a disk is. */
  readonly edge: Pick<HttpHandler, 'upgrade'>;
  readonly clock: Clock;
  /** From here on the client is spoken with in TLS. */
  readonly secure: (stream: Duplex) => Promise<Duplex>;
}

/**
 * A client of NBD. It says in the name of the export who it is and which disk it wants, which is asked of
 * the edge as the action `connect_nbd`.
 */
export const admitNbd = async (
  { edge, clock, secure }: NbdDoor,
  plain: Duplex,
  remoteAddress: string,
): Promise<void> => {
  const cancel = clock.after(NEGOTIATION_MS_MAX, () => plain.destroy());
  plain.on('error', () => plain.destroy());
  const found = await negotiated(plain, secure).catch(() => undefined);
  cancel();
  if (found === undefined) return void plain.destroy();
  const { stream, peer, wanted } = found;
  let isIn = false;
  const refuse = (status: number, why: string): void => {
    const error = status === 401 || status === 403 ? optionError.policy : optionError.unknown;
    void turnAway(peer, wanted, error, why.trim()).then(() => stream.end());
  };
  const head = headOf(wanted, remoteAddress);
  if (head === undefined) return refuse(404, 'An export is called /<uuid of a disk>?session_id=<session>');
  await edge.upgrade(
    head,
    async () => {
      isIn = true;
      peer.release();
      return stream;
    },
    (status, _, why) => (isIn ? stream.destroy() : refuse(status, why)),
  );
};

interface Negotiated {
  readonly stream: Duplex;
  readonly peer: NbdPeer;
  readonly wanted: NamedExport;
}

const negotiated = async (plain: Duplex, secure: NbdDoor['secure']): Promise<Negotiated | undefined> => {
  const first = nbdPeer(plain);
  const agreed = await greet(first);
  if (agreed === undefined || !(await untilTls(first))) return undefined;
  first.release();
  const stream = await secure(plain);
  stream.on('error', () => stream.destroy());
  const peer = nbdPeer(stream);
  const wanted = await untilNamed(peer, agreed);
  return wanted && { stream, peer, wanted };
};

const headOf = ({ option, name, agreed }: NamedExport, remoteAddress: string): HttpHead | undefined => {
  const [, uuid, session] = /^\/?([0-9a-f-]{36})\?session_id=([\w:.|-]{1,128})$/.exec(name) ?? [];
  if (uuid === undefined || session === undefined) return undefined;
  const query = new URLSearchParams({ session_id: session, vdi: uuid, ...sayingAgreed(option, agreed) });
  const about = { method: 'GET', path: '/nbd', headers: {}, httpVersion: '1.1' as const };
  return { ...about, query, remoteAddress, secure: true };
};

const sayingAgreed = (option: number, agreed: Agreed): Readonly<Record<string, string>> => ({
  option: `${option}`,
  ...Object.fromEntries(Object.entries(agreed).map(([name, is]) => [name, `${is}`])),
});

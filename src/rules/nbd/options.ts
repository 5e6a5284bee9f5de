import type { NbdPeer } from './peer.ts';

// The first half of NBD, in which a client says what it wants of which disk: the fixed newstyle handshake.
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md

const GREETING = 0x4e42444d41474943n;
const OPTION = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
/** Newstyle is fixed, and no zeros are sent to whoever wants none. */
const SERVER_FLAGS = 0b11;
const NO_ZEROS = 0b10;
const OPTIONS_MAX = 64;
const OPTION_BYTES_MAX = 16 * 1024;

const option = {
  ...{ exportName: 1, abort: 2, list: 3, startTls: 5, info: 6, go: 7 },
  ...{ structuredReply: 8, listContexts: 9, setContext: 10 },
} as const;
const reply = { ack: 1, info: 3, context: 4 } as const;
export const optionError = {
  ...{ unsupported: 0x80000001, policy: 0x80000002, invalid: 0x80000003, tlsRequired: 0x80000005 },
  ...{ unknown: 0x80000006, tooBig: 0x80000009 },
} as const;

const ALLOCATION = 'base:allocation';
export const ALLOCATION_ID = 1;

/** What both have agreed on so far. */
export interface Agreed {
  readonly structured: boolean;
  /** Whether the client is told where there is nothing. */
  readonly allocation: boolean;
  readonly noZeros: boolean;
}

/** A client that has said which disk it wants, and by which option. */
export interface NamedExport {
  readonly option: number;
  readonly name: string;
  readonly agreed: Agreed;
}

/** Greets a client; answers what it agrees to, unless it goes. */
export const greet = async (peer: NbdPeer): Promise<Agreed | undefined> => {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(GREETING, 0);
  greeting.writeBigUInt64BE(OPTION, 8);
  greeting.writeUInt16BE(SERVER_FLAGS, 16);
  await peer.send(greeting);
  const flags = (await peer.take(4))?.readUInt32BE(0);
  // A client that speaks an older style cannot be told why it is turned away.
  if (flags === undefined || (flags & 1) === 0 || flags > SERVER_FLAGS) return undefined;
  return { structured: false, allocation: false, noZeros: (flags & NO_ZEROS) !== 0 };
};

const answerOption = (
  peer: NbdPeer,
  what: number,
  type: number,
  data: Buffer = Buffer.alloc(0),
): Promise<boolean> => {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY, 0);
  head.writeUInt32BE(what, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return peer.send(head, data);
};

const refuse = (peer: NbdPeer, what: number, type: number, why: string): Promise<boolean> =>
  answerOption(peer, what, type, Buffer.from(why, 'utf8'));

/**
 * Of a client that has named a disk. The oldest option knows no refusal but the end of the connection: it
 * takes whatever comes for the description of the disk.
 */
export const turnAway = async (
  peer: NbdPeer,
  { option: what }: Pick<NamedExport, 'option'>,
  type: number,
  why: string,
): Promise<void> => {
  if (what !== option.exportName) await refuse(peer, what, type, why);
};

interface Option {
  readonly what: number;
  /** Undefined: more than is taken. */
  readonly data: Buffer | undefined;
}

const nextOption = async (peer: NbdPeer): Promise<Option | undefined> => {
  const head = await peer.take(16);
  if (head === undefined || head.readBigUInt64BE(0) !== OPTION) return undefined;
  const [what, length] = [head.readUInt32BE(8), head.readUInt32BE(12)];
  if (length > OPTION_BYTES_MAX) return { what, data: undefined };
  const data = await peer.take(length);
  return data && { what, data };
};

/** Waits until the client asks for TLS, before which nothing else is answered. False: it does not. */
export const untilTls = async (peer: NbdPeer): Promise<boolean> => {
  for (let options = 0; options < OPTIONS_MAX; options += 1) {
    const asked = await nextOption(peer);
    if (asked?.data === undefined || asked.what === option.exportName) return false;
    if (asked.what === option.startTls && asked.data.length === 0) {
      return answerOption(peer, asked.what, reply.ack);
    }
    if (asked.what === option.abort) {
      await answerOption(peer, asked.what, reply.ack);
      return false;
    }
    await refuse(peer, asked.what, optionError.tlsRequired, 'Disks are served over TLS alone; begin with it');
  }
  return false;
};

/** Answers what the client asks until it names a disk. Undefined: it does not. */
export const untilNamed = async (peer: NbdPeer, begun: Agreed): Promise<NamedExport | undefined> => {
  let agreed = begun;
  for (let options = 0; options < OPTIONS_MAX; options += 1) {
    const asked = await nextOption(peer);
    if (asked?.data === undefined) return undefined;
    const { what, data } = asked;
    if (what === option.exportName) return { option: what, name: data.toString('utf8'), agreed };
    if (what === option.go || what === option.info) {
      const name = nameIn(data);
      if (name !== undefined) return { option: what, name, agreed };
      await refuse(peer, what, optionError.invalid, 'The name of the export has no valid length');
    } else if (what === option.structuredReply) {
      agreed = { ...agreed, structured: true };
      await answerOption(peer, what, reply.ack);
    } else if (what === option.setContext || what === option.listContexts) {
      const allocation = await tellContexts(peer, what, data, agreed.structured);
      if (what === option.setContext) agreed = { ...agreed, allocation };
    } else if (what === option.abort) {
      await answerOption(peer, what, reply.ack);
      return undefined;
    } else if (what === option.list) {
      await refuse(peer, what, optionError.policy, 'Ask VDI.get_nbd_info which name a disk has');
    } else await refuse(peer, what, optionError.unsupported, 'The option is not known');
  }
  return undefined;
};

/** A length and the text of it. */
const nameIn = (data: Buffer): string | undefined => {
  const length = data.length >= 4 ? data.readUInt32BE(0) : data.length;
  return 4 + length <= data.length ? data.toString('utf8', 4, 4 + length) : undefined;
};

/** Answers whether the client will be told of allocation. */
const tellContexts = async (
  peer: NbdPeer,
  what: number,
  data: Buffer,
  structured: boolean,
): Promise<boolean> => {
  const queries = structured ? queriesIn(data) : undefined;
  if (queries === undefined) {
    await refuse(peer, what, optionError.invalid, 'Structured replies come first, then well-formed queries');
    return false;
  }
  const lists = what === option.listContexts;
  const isWanted =
    queries.includes(ALLOCATION) || (lists && (queries.length === 0 || queries.includes('base:')));
  if (isWanted) {
    const context = Buffer.from(`    ${ALLOCATION}`, 'latin1');
    context.writeUInt32BE(ALLOCATION_ID, 0);
    await answerOption(peer, what, reply.context, context);
  }
  await answerOption(peer, what, reply.ack);
  return isWanted;
};

const queriesIn = (data: Buffer): readonly string[] | undefined => {
  const name = nameIn(data);
  if (name === undefined) return undefined;
  const begin = 4 + data.readUInt32BE(0);
  if (begin + 4 > data.length) return undefined;
  const queries: string[] = [];
  let at = begin + 4;
  for (let left = data.readUInt32BE(begin); left > 0; left -= 1) {
    const query = nameIn(data.subarray(at));
    if (query === undefined) return undefined;
    queries.push(query);
    at += 4 + data.readUInt32BE(at);
  }
  return queries;
};

const info = { export: 0, blockSize: 3 } as const;
/** As the protocol wants them where nothing else is said. */
const BLOCK_BYTES = [1, 64 * 1024, 32 * 1024 * 1024] as const;
const ZEROS_BYTES = 124;

/** Describes the disk. False: the client only wanted to know, and goes on with options. */
export const describe = async (
  peer: NbdPeer,
  { option: what, agreed }: Pick<NamedExport, 'option' | 'agreed'>,
  disk: { readonly sizeBytes: bigint; readonly flags: number },
): Promise<boolean> => {
  const about = Buffer.alloc(12);
  about.writeUInt16BE(info.export, 0);
  about.writeBigUInt64BE(disk.sizeBytes, 2);
  about.writeUInt16BE(disk.flags, 10);
  if (what === option.exportName) {
    await peer.send(about.subarray(2), Buffer.alloc(agreed.noZeros ? 0 : ZEROS_BYTES));
    return true;
  }
  await answerOption(peer, what, reply.info, about);
  const sizes = Buffer.alloc(14);
  sizes.writeUInt16BE(info.blockSize, 0);
  for (const [index, bytes] of BLOCK_BYTES.entries()) sizes.writeUInt32BE(bytes, 2 + index * 4);
  await answerOption(peer, what, reply.info, sizes);
  await answerOption(peer, what, reply.ack);
  return what === option.go;
};

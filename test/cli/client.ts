import { connect, type Socket } from 'node:net';

// A client of the thin protocol, written from its description alone: it shares no code with the server.

export interface Said {
  /** What a terminal would show. */
  readonly out: string;
  readonly err: string;
  /** Undefined: the connection ended without one. */
  readonly status: number | undefined;
  /** Every order of the server, by its tag. */
  readonly tags: readonly number[];
}

export interface XeOptions {
  /** By which server: on loopback where no address is given, or by a socket in a file. */
  readonly at: { readonly port: number; readonly host?: string } | { readonly path: string };
  readonly user?: string;
  readonly password?: string;
  /** What is uploaded, by the name that the server gives. */
  readonly files?: Readonly<Record<string, Buffer>>;
  /** Lines that are typed where the server asks. */
  readonly typed?: readonly string[];
  /** Does what the server says with a file and a path of it; true where that went well. */
  readonly transfer?: (kind: 'get' | 'put', file: string, path: string) => Promise<boolean>;
}

const hello = Buffer.from('58656e536f75726365207468696e20434c492070726f746f636f6c0000000002000000', 'hex');

export const opening = (body: string): string =>
  `POST /cli HTTP/1.0\r\nUser-agent: xe-cli/Unix/0.2\r\noriginator: cli\r\n` +
  `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** Reads from a socket in parts; undefined where it ends before. */
export const reading = (socket: Socket) => {
  const chunks = socket[Symbol.asyncIterator]();
  let rest = Buffer.alloc(0);
  return async (count: number): Promise<Buffer | undefined> => {
    while (rest.length < count) {
      const next = await chunks.next();
      if (next.done === true) return undefined;
      rest = Buffer.concat([rest, next.value]);
    }
    const part = rest.subarray(0, count);
    rest = rest.subarray(count);
    return part;
  };
};

const answer = (family: number, tag: number, ...more: readonly number[]): Buffer => {
  const ints = [4 * (2 + more.length), family, tag, ...more];
  const bytes = Buffer.alloc(4 * ints.length);
  ints.forEach((n, i) => void bytes.writeInt32LE(n, 4 * i));
  return bytes;
};

const blob = (bytes: Buffer): Buffer => Buffer.concat([answer(11, 7, bytes.length), bytes, answer(11, 8)]);

/** `xe WORDS...`, as the program would send it. */
export const xe = async (words: readonly string[], options: XeOptions): Promise<Said> => {
  const { user = 'root', password = 'pa:ss' } = options;
  return say([...words, `username=${user}`, `password=${password}`].join('\n'), options);
};

export const say = async (body: string, options: XeOptions): Promise<Said> => {
  const socket = connect(options.at as { port: number });
  const typed = [...(options.typed ?? [])];
  const said = { out: '', err: '', tags: [] as number[] };
  try {
    socket.write(opening(body));
    const read = reading(socket);
    const greeting = await read(35);
    if (greeting === undefined || !greeting.equals(hello)) return { ...said, status: undefined };
    socket.write(hello);
    for (;;) {
      const length = (await read(4))?.readInt32LE();
      const payload = length === undefined ? undefined : await read(length);
      if (payload === undefined) return { ...said, status: undefined };
      const tag = payload.readInt32LE(4);
      said.tags.push(tag);
      const texts = textsOf(payload);
      if (payload.readInt32LE(0) !== 9) throw new Error('The server sends what only clients send');
      if (tag === 4) return { ...said, status: payload.readInt32LE(8) & 255 };
      if (tag === 0) said.out += `${texts(0)}\n`;
      else if (tag === 16) said.err += texts(0);
      else if (tag === 14) said.err += `Error code: ${texts(0)}\nError parameters: ${listOf(payload)}\n`;
      else if (tag === 1) socket.write(loaded(options.files?.[texts(0)]));
      else if (tag === 3) socket.write(blob(Buffer.from(typed.shift() ?? '')));
      else if (tag === 12 || tag === 13) {
        const ok = await options.transfer?.(tag === 12 ? 'get' : 'put', texts(0), texts(1));
        socket.write(ok === true ? answer(10, 5) : answer(10, 6));
      } else throw new Error(`There is no order with the tag ${tag}`);
    }
  } finally {
    socket.destroy();
  }
};

const loaded = (file: Buffer | undefined): Buffer =>
  file === undefined ? answer(10, 6) : Buffer.concat([answer(10, 5), blob(file)]);

/** The texts of a payload by their place, where it has nothing but texts. */
const textsOf =
  (payload: Buffer) =>
  (place: number): string => {
    let at = 8;
    for (let i = 0; i < place; i += 1) at += 4 + payload.readInt32LE(at);
    return payload.subarray(at + 4, at + 4 + payload.readInt32LE(at)).toString('utf8');
  };

/** The list after a first text. */
const listOf = (payload: Buffer): string => {
  let at = 8 + 4 + payload.readInt32LE(8);
  const items: string[] = [];
  const count = payload.readInt32LE(at);
  at += 4;
  for (let i = 0; i < count; i += 1) {
    const length = payload.readInt32LE(at);
    items.push(payload.subarray(at + 4, at + 4 + length).toString('utf8'));
    at += 4 + length;
  }
  return items.join(', ');
};

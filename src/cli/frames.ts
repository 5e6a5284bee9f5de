// The frames of the thin command-line protocol, version 0.2. The server tells the client what to print, to
// ask for and to send; the client answers. Integers are little endian, texts have their length before them.

/** What the server tells the client. `url` is a path of the server that the client talks to. */
export type Order =
  | { readonly kind: 'print' | 'print-error' | 'debug'; readonly text: string }
  | { readonly kind: 'load'; readonly file: string }
  | { readonly kind: 'prompt' }
  | { readonly kind: 'exit'; readonly status: number }
  | { readonly kind: 'error'; readonly code: string; readonly params: readonly string[] }
  | { readonly kind: 'get' | 'put'; readonly file: string; readonly url: string }
  | { readonly kind: 'connect'; readonly url: string };

/** What the client answers. The bytes of a chunk follow its frame, outside of it. */
export type Reply =
  | { readonly kind: 'ok' | 'failed' | 'wait' | 'end' }
  | { readonly kind: 'chunk'; readonly sizeBytes: number };

export class FrameFailure extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'FrameFailure';
  }
}

const families = { order: 9, response: 10, blob: 11 } as const;
const orderTags = {
  ...{ print: 0, load: 1, prompt: 3, exit: 4, get: 12, put: 13, error: 14, debug: 15 },
  ...{ 'print-error': 16, connect: 17 },
} as const;
const responseTags = { ok: 5, failed: 6, wait: 18 } as const;
const blobTags = { chunk: 7, end: 8 } as const;

const greetingText = 'XenSource thin CLI protocol';
const version = { major: 0, minor: 2 } as const;

const int = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(n);
  return bytes;
};

const text = (chars: string): Buffer => {
  const bytes = Buffer.from(chars);
  return Buffer.concat([int(bytes.length), bytes]);
};

/** What each side says first. */
export const greeting: Buffer = Buffer.concat([
  Buffer.from(greetingText, 'latin1'),
  int(version.major),
  int(version.minor),
]);

/** Throws `FrameFailure` where the other side speaks another protocol, or another version that matters. */
export const checkGreeting = (bytes: Buffer): void => {
  const known = greeting.subarray(0, greeting.length - 4);
  if (!bytes.subarray(0, known.length).equals(known))
    throw new FrameFailure('The other side does not speak this protocol');
};

const framed = (...parts: readonly Buffer[]): Buffer => {
  const payload = Buffer.concat(parts);
  return Buffer.concat([int(payload.length), payload]);
};

export const encodeOrder = (order: Order): Buffer => framed(int(families.order), ...orderParts(order));

const orderParts = (order: Order): readonly Buffer[] => {
  const tag = int(orderTags[order.kind]);
  switch (order.kind) {
    case 'prompt':
      return [tag];
    case 'exit':
      return [tag, int(order.status)];
    case 'load':
      return [tag, text(order.file)];
    case 'error':
      return [tag, text(order.code), int(order.params.length), ...order.params.map(text)];
    case 'connect':
      return [tag, text(order.url)];
    case 'get':
    case 'put':
      return [tag, text(order.file), text(order.url)];
    default:
      return [tag, text(order.text)];
  }
};

export const encodeReply = (reply: Reply): Buffer => {
  if (reply.kind === 'chunk') return framed(int(families.blob), int(blobTags.chunk), int(reply.sizeBytes));
  if (reply.kind === 'end') return framed(int(families.blob), int(blobTags.end));
  return framed(int(families.response), int(responseTags[reply.kind]));
};

/** Reads a payload from its beginning. */
const fieldsOf = (payload: Buffer) => {
  let at = 0;
  const bytes = (count: number): Buffer => {
    if (count < 0 || at + count > payload.length) throw new FrameFailure('A frame is shorter than it says');
    at += count;
    return payload.subarray(at - count, at);
  };
  const number = (): number => bytes(4).readInt32LE();
  const chars = (): string => bytes(number()).toString('utf8');
  return { number, chars };
};

const kindOf = <K extends string>(tags: Readonly<Record<K, number>>, tag: number): K => {
  const found = (Object.entries(tags) as [K, number][]).find(([, known]) => known === tag);
  if (found === undefined) throw new FrameFailure(`There is no frame with the tag ${tag} here`);
  return found[0];
};

/** The payload of a frame that a server sent. Throws `FrameFailure`. */
export const decodeOrder = (payload: Buffer): Order => {
  const fields = fieldsOf(payload);
  if (fields.number() !== families.order) throw new FrameFailure('A frame of the server is no order');
  const kind = kindOf(orderTags, fields.number());
  switch (kind) {
    case 'prompt':
      return { kind };
    case 'exit':
      return { kind, status: fields.number() };
    case 'load':
      return { kind, file: fields.chars() };
    case 'connect':
      return { kind, url: fields.chars() };
    case 'get':
    case 'put':
      return { kind, file: fields.chars(), url: fields.chars() };
    case 'error': {
      const code = fields.chars();
      const count = fields.number();
      const params: string[] = [];
      while (params.length < count) params.push(fields.chars());
      return { kind, code, params };
    }
    default:
      return { kind, text: fields.chars() };
  }
};

/** The payload of a frame that a client sent. Throws `FrameFailure`. */
export const decodeReply = (payload: Buffer): Reply => {
  const fields = fieldsOf(payload);
  const family = fields.number();
  const tag = fields.number();
  if (family === families.response) return { kind: kindOf(responseTags, tag) };
  if (family !== families.blob) throw new FrameFailure('A frame of the client is no answer');
  const kind = kindOf(blobTags, tag);
  if (kind === 'end') return { kind };
  const sizeBytes = fields.number();
  if (sizeBytes < 0) throw new FrameFailure('A chunk has less than nothing in it');
  return { kind, sizeBytes };
};

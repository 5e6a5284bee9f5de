// Goal: values cross in frames exactly, and no bytes at all make a decoder throw anything but a FrameFailure.
// Method: round trips of generated values; generated garbage, cut and altered frames, and frames built by hand.
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/mesh/decode.ts';
import { encode } from '../../src/mesh/encode.ts';
import { FrameFailure } from '../../src/mesh/failure.ts';
import { decodeFrame, encodeFrame, type Item } from '../../src/mesh/frame.ts';
import { meshLimits } from '../../src/mesh/limits.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'grapheme', maxLength: 100 });
const key = fc.string({ maxLength: 20 }).filter((name) => name !== '__proto__');
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    text,
    int64,
    fc.double({ noNaN: true }).map((n) => n + 0),
    fc.boolean(),
    fc.constantFrom(null, undefined, { dateTime: '20260821T02:00:23Z' }),
    fc.uint8Array({ maxLength: 50 }),
    fc.array(tie('any'), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.oneof(text, int64, fc.constant('__proto__')), tie('any')), { maxLength: 20 })
      .map((entries) => new Map(entries as [unknown, unknown][])),
    fc.dictionary(key, tie('any'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).any;

const frameOf = (...items: Item[]) => ({ version: 1, epoch: 7, items });
const crossed = (payload: unknown): unknown => {
  const [item] = decodeFrame(encodeFrame(frameOf(['reply', 1, payload]), meshLimits), meshLimits).items;
  return (item as Extract<Item, readonly ['reply', ...unknown[]]>)[2];
};
/** Bytes come back as Node's kind of them. */
const plain = (any: unknown): unknown => {
  if (any instanceof Uint8Array) return `bytes ${Buffer.from(any).toString('hex')}`;
  if (any === 0) return 0;
  if (Array.isArray(any)) return any.map(plain);
  if (any instanceof Map) return new Map([...any].map(([k, v]) => [k, plain(v)]));
  if (typeof any === 'object' && any !== null) {
    return Object.fromEntries(Object.entries(any).map(([k, v]) => [k, plain(v)]));
  }
  return any;
};

describe('values', () => {
  test('cross a frame exactly', () => {
    fc.assert(
      fc.property(value, (sent) => {
        expect(plain(crossed(sent))).toStrictEqual(plain(sent));
      }),
    );
  });

  test('are written and read as msgpackr would', () => {
    const other = new Packr({ int64AsType: 'bigint' });
    fc.assert(
      fc.property(value, (sent) => {
        expect(plain(other.unpack(encode(sent, meshLimits)))).toStrictEqual(plain(sent));
        expect(plain(decode(other.pack(sent), meshLimits))).toStrictEqual(plain(sent));
      }),
    );
  });

  test('are not mistaken for others that came before', () => {
    for (const sent of ['\u00c3\u00a9', '\u00e9', '\u00c3\u00a9', 'ab', 'ba', 'ab', '\ufffd', 'abc']) {
      expect(crossed([sent, sent, { [sent]: sent }])).toEqual([sent, sent, { [sent]: sent }]);
    }
    const many = Array.from({ length: 5_000 }, (_, i) => `text ${i}`);
    expect(crossed(many)).toEqual(many);
  });

  test('of any length cross, and of any number up to the limit', () => {
    const lengths = [0, 23, 24, 31, 32, 255, 256, 65_535, 65_536, 200_000];
    for (const unit of ['a', '\u00e9', '\u20ac', '\u{1f5a7}']) {
      const texts = lengths.map((length) => unit.repeat(length));
      const got = crossed(texts) as string[];
      // Compared by length first: the texts themselves are nothing to print.
      expect(got.map(({ length }) => length)).toEqual(texts.map(({ length }) => length));
      expect(got.every((one, i) => one === texts[i])).toBe(true);
    }
    const blobs = lengths.map((length) => new Uint8Array(length).fill(7));
    expect(plain(crossed(blobs))).toEqual(plain(blobs));
    const array = Array.from({ length: 70_000 }, (_, i) => i);
    expect(crossed([array, new Map(array.map((i) => [i, -i - 1]))])).toEqual([
      array,
      new Map(array.map((i) => [i, -i - 1])),
    ]);
    expect(() => crossed(Array.from({ length: meshLimits.valuesMax }, () => 0))).toThrow('too many values');
    expect(() => crossed('a'.repeat(meshLimits.frameBytesMax))).toThrow('limit');
  });

  test('keep what JavaScript likes to mix apart', () => {
    const sent = [
      1,
      1n,
      2n ** 63n - 1n,
      9007199254740993n,
      undefined,
      null,
      '',
      false,
      new Map(),
      {},
      [],
      1.5,
    ];
    expect(crossed(sent)).toStrictEqual(sent);
  });

  test('of more kinds of objects than there are ids for kinds come back each as its own', () => {
    const sent = Array.from({ length: 500 }, (_, i) => ({
      [`key${i % 150}`]: i,
      [`other${i % 7}`]: { inner: i },
    }));
    expect(crossed(sent)).toStrictEqual(sent);
  });

  test('that cannot travel are refused before they leave', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => crossed(new Date())).toThrow(FrameFailure);
    expect(() => crossed(2n ** 80n)).toThrow(FrameFailure);
    expect(() => crossed(circle)).toThrow(FrameFailure);
    expect(() => crossed(Symbol('x'))).toThrow(FrameFailure);
    expect(() => crossed(JSON.parse('{"__proto__": 1}'))).toThrow(FrameFailure);
    expect(() => crossed(new Error('x'))).toThrow('Error');
    expect(() => crossed(new Float64Array(2))).toThrow('Float64Array');
    expect(() => crossed(() => 1)).toThrow('function');
    expect(() => crossed(new Map([[{}, 1]]))).toThrow('neither');
    expect(() => crossed({ ['k'.repeat(300)]: 1 })).toThrow('too long');
    const keys = Array.from({ length: meshLimits.keysMax + 1 }, (_, i) => [`k${i}`, i]);
    expect(() => crossed(Object.fromEntries(keys))).toThrow('too many keys');
    const failing = {
      get name(): string {
        throw new Error('not now');
      },
    };
    expect(() => crossed(failing)).toThrow(new FrameFailure('A value cannot travel: not now'));
    expect(crossed('what follows is not disturbed')).toBe('what follows is not disturbed');
  });
});

describe('bytes that are no frame', () => {
  const refused = (bytes: Uint8Array): string => {
    try {
      decodeFrame(bytes, meshLimits);
    } catch (error) {
      expect(error).toBeInstanceOf(FrameFailure);
      return (error as Error).message;
    }
    return '';
  };

  test('are refused, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        refused(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  test('are refused when a real frame was cut or altered, or is what it was', () => {
    const real = encodeFrame(
      frameOf(['call', 1, 'name', { a: [1n, 'text', new Map([['k', { b: 1 }]])] }, 100, 'id', false]),
      meshLimits,
    );
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.nat(255), fc.nat(real.length), (at, byte, length) => {
        const bytes = Uint8Array.from(real);
        bytes[at] = byte;
        refused(bytes);
        if (length < real.length) expect(refused(real.slice(0, length))).not.toBe('');
      }),
      { numRuns: 2_000 },
    );
  });

  const packed = (items: unknown, version: unknown = 1, epoch: unknown = 1): Uint8Array =>
    new Packr({}).pack([version, epoch, items]);

  test('are refused for their shape', () => {
    for (const items of [
      null,
      [['nothing', 1]],
      [['ping']],
      [['ping', -1]],
      [['ping', 1.5]],
      [['ping', 1n]],
      [['call', 1, 'name', null, 100, '', 'yes']],
      [['fail', 1, { fault: 5, params: [] }]],
      [['fail', 1, { mesh: 'no such reason', text: '' }]],
      [['data', 1, 'text']],
      [['hello', { host: 'a', versions: [1], software: '', link: '', last: '' }]],
      [{ kind: 'ping' }],
      Array.from({ length: meshLimits.itemsMax + 1 }, () => ['ping', 1]),
    ]) {
      expect(refused(packed(items))).not.toBe('');
    }
    expect(refused(packed([], -1))).not.toBe('');
    expect(refused(packed([], 1, 'seven'))).not.toBe('');
    expect(refused(new Packr({}).pack({ version: 1, epoch: 1, items: [] }))).not.toBe('');
  });

  test('are refused for their depth, their size, their number of values and their keys', () => {
    expect(refused(new Uint8Array(100_000).fill(0x91))).toContain('deeper');
    expect(refused(new Uint8Array(100_000).fill(0x81))).not.toBe('');
    expect(refused(new Uint8Array(meshLimits.frameBytesMax + 1))).toContain('limit');
    const many = new Uint8Array(2_000_005).fill(0x80);
    many.set([0xdd, 0, 0x1e, 0x84, 0x80]);
    expect(refused(many)).toContain('too many values');
    const claim = Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff]);
    expect(refused(claim)).toContain('ends early');
    expect(refused(Uint8Array.from([0xdb, 0xff, 0xff, 0xff, 0xff, 1]))).toContain('ends early');
    const proto = Buffer.concat([
      Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa9]),
      Buffer.from('__proto__'),
      Buffer.from([1]),
    ]);
    expect(refused(proto)).toContain('__proto__');
    const longKey = Buffer.concat([
      Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xda, 1, 0x2c]),
      Buffer.alloc(300, 97),
      Buffer.from([1]),
    ]);
    expect(refused(longKey)).toContain('too long');
    expect(refused(Uint8Array.from([0x40]))).toContain('before its keys');
    expect(refused(Uint8Array.from([0xc1]))).toContain('not used');
    expect(refused(Uint8Array.from([0x81, 0x90, 1]))).toContain('neither');
  });
});

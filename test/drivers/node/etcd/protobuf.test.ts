// Goal: messages of etcd's API are the bytes that etcd reads, and strange bytes are refused, whatever they claim.
// Method: bytes worked out by hand, round trips of made-up messages, and bytes that lie.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareResult, compareTarget } from '../../../../src/drivers/etcd.ts';
import { rangeRequest, txnRequest } from '../../../../src/drivers/node/etcd/messages.ts';
import { decode, encode, many, NotProtobuf, one } from '../../../../src/drivers/node/etcd/protobuf.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

describe('a message', () => {
  test('has the bytes of the specification', () => {
    expect(encode({ a: one(1, 'int') }, { a: 150 }).toString('hex')).toBe('089601');
    expect(encode({ b: one(2, 'text') }, { b: 'testing' }).toString('hex')).toBe('120774657374696e67');
    expect(encode({ c: one(3, { a: one(1, 'int') }) }, { c: { a: 150 } }).toString('hex')).toBe('1a03089601');
    expect(encode({ a: one(1, 'int') }, { a: -1 }).toString('hex')).toBe('08ffffffffffffffffff01');
  });

  test('of a transaction names what it compares by number, also where the number is 0', () => {
    const value = {
      compare: [
        { key: bytes('k'), result: compareResult.equal, target: compareTarget.create, createRevision: 7 },
        { key: bytes('k'), result: compareResult.greater, target: compareTarget.mod, modRevision: 300 },
      ],
      success: [{ put: { key: bytes('k'), value: bytes('v') } }, { deleteRange: { key: bytes('d') } }],
      failure: [{ range: { key: bytes('k'), limit: 1 } }],
    };
    const read = decode(txnRequest, encode(txnRequest, value));
    expect(read.compare.map(({ result, target }) => [result, target])).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(read.compare[0]?.createRevision).toBe(7);
    expect(read.compare[1]?.modRevision).toBe(300);
    expect(Buffer.from(read.success[0]?.put?.value ?? []).toString()).toBe('v');
    expect(read.success[1]?.deleteRange).toBeDefined();
    expect(read.success[1]?.put).toBeUndefined();
    expect(read.failure[0]?.range?.limit).toBe(1);
  });

  test('reads what was written', () => {
    const message = {
      int: one(1, 'int'),
      id: one(2, 'id'),
      bool: one(3, 'bool'),
      bytes: one(15, 'bytes'),
      texts: many(16, 'text'),
      inner: one(2_000, { int: one(1, 'int') }),
    };
    const value = fc.record({
      int: fc.maxSafeInteger(),
      id: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      bool: fc.boolean(),
      bytes: fc.uint8Array({ maxLength: 300 }),
      texts: fc.array(fc.string()),
      inner: fc.option(fc.record({ int: fc.nat() }), { nil: undefined }),
    });
    fc.assert(
      fc.property(value, (given) => {
        const read = decode(message, encode(message, given));
        expect({ ...read, bytes: Uint8Array.from(read.bytes) }).toEqual(given);
      }),
    );
  });
});

describe('bytes that are no message', () => {
  test.each([
    ['a length beyond the end', '0aff01'],
    ['a number without an end', '18ffffffffffffffffffffff'],
    ['a field that ends within', '0a05616263'],
    ['another wire type than the field has', '1a0161'],
    ['a group', '5b5c'],
    ['an integer that is not exact', '18ffffffffffffffff7f'],
  ])('are refused: %s', (_, hex) => {
    expect(() => decode(rangeRequest, Buffer.from(hex, 'hex'))).toThrow(NotProtobuf);
  });

  test('never do more than be refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (given) => {
        try {
          decode(txnRequest, given);
        } catch (error) {
          expect(error).toBeInstanceOf(NotProtobuf);
        }
      }),
    );
  });

  test('that are of fields which are not known are skipped', () => {
    const unknown = Buffer.from(`f80101f901${'00'.repeat(8)}fa010161fd0100000000`, 'hex');
    expect(decode(rangeRequest, Buffer.concat([unknown, Buffer.from('1805', 'hex')])).limit).toBe(5);
  });

  test('an integer that is not exact is never sent', () => {
    expect(() => encode(rangeRequest, { limit: 2 ** 60 })).toThrow(NotProtobuf);
  });
});

// Goal: other implementations of XML-RPC understand what is written here, and are understood.
// Method: the peers are the package `xmlrpc`, and the parts that the XenAPI client `xen-api` is made of.
// Each direction is tried with the values that the peer can carry: a peer's limits are not ours.

import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readXmlRpcCall, readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall, xmlSuccess, xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import type { Value } from '../../src/std/value.ts';

const load = createRequire(import.meta.url);
const Deserializer = load('xmlrpc/lib/deserializer.js');
const serializer = load('xmlrpc/lib/serializer.js');
const { formatXml } = load('@vates/xml/format');
const { parseXml } = load('@vates/xml/parse');
const { xmlRpcFormatter } = load('@vates/xml-rpc/formatter');
const { xmlRpcParser } = load('@vates/xml-rpc/parser');

type Answered = (error: Error | null, method: string, params?: unknown[]) => void;

const peerReadsCall = (text: string): Promise<{ method: string; params: unknown[] }> =>
  new Promise((resolve, reject) => {
    const answered: Answered = (error, method, params) => {
      if (error) reject(error);
      else resolve({ method, params: params ?? [] });
    };
    new Deserializer('utf8').deserializeMethodCall(Readable.from([Buffer.from(text)]), answered);
  });

const peerReadsResponse = (text: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const answered = (error: Error | null, result: unknown) => (error ? reject(error) : resolve(result));
    new Deserializer('utf8').deserializeMethodResponse(Readable.from([Buffer.from(text)]), answered);
  });

// Peers drop text that is only white space, and control characters make one of them throw.
const plain = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text) && text.trim() === text);
const key = plain.filter((name) => !['__proto__', ''].includes(name));
const ordinary = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    plain,
    fc.boolean(),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

/** What the reader makes of a value that the peer wrote, or the writer takes for the peer. */
const asValue = (given: unknown): Value => {
  if (typeof given === 'number') return BigInt(given);
  if (Array.isArray(given)) return given.map(asValue);
  if (typeof given !== 'object' || given === null) return given as Value;
  return new Map(Object.entries(given).map(([name, item]) => [name, asValue(item)]));
};

/** Integers are written without a tag, so that a peer takes them for strings. */
const withoutIntegers = (given: unknown): unknown => {
  if (typeof given === 'number') return String(given);
  if (Array.isArray(given)) return given.map(withoutIntegers);
  if (typeof given !== 'object' || given === null) return given;
  return Object.fromEntries(Object.entries(given).map(([name, item]) => [name, withoutIntegers(item)]));
};

test('calls that the peer writes are read', () => {
  fc.assert(
    fc.property(fc.array(ordinary, { maxLength: 4 }), (params) => {
      const text = serializer.serializeMethodCall('VM.start', params);
      expect(readXmlRpcCall(text)).toEqual({ method: 'VM.start', params: params.map(asValue) });
    }),
  );
});

test('responses and faults that the peer writes are read', () => {
  const text = serializer.serializeMethodResponse({ Status: 'Success', Value: ['a', 1.5, new Date(0)] });
  expect(readXmlRpcResponse(text)).toMatchObject({
    kind: 'success',
    value: ['a', 1.5, { dateTime: expect.any(String) }],
  });
  const fault = serializer.serializeFault({ faultCode: 4, faultString: 'Too many' });
  expect(readXmlRpcResponse(fault)).toEqual({ kind: 'fault', code: 4n, message: 'Too many' });
});

test('calls that are written here are read by the peer', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ordinary, { maxLength: 4 }), async (params) => {
      const read = await peerReadsCall(xmlCall('VM.start', params.map(asValue)));
      expect(read).toEqual({ method: 'VM.start', params: params.map(withoutIntegers) });
    }),
  );
});

test('responses that are written here are read by the peer', async () => {
  const value: Value = ['a <&> "b"\r\n', 1.5, true, new Uint8Array([1, 2]), new Map([['k', '']])];
  expect(await peerReadsResponse(xmlSuccess(xmlValue(value)))).toEqual({
    Status: 'Success',
    Value: ['a <&> "b"\r\n', 1.5, true, Buffer.from([1, 2]), { k: '' }],
  });
});

test('the XenAPI client is understood, and understands', () => {
  fc.assert(
    fc.property(fc.array(ordinary, { maxLength: 4 }), (params) => {
      const call = formatXml(xmlRpcFormatter.format_methodCall({ methodName: 'VM.start', params }), {
        indent: 0,
      });
      expect(readXmlRpcCall(call)).toEqual({ method: 'VM.start', params: params.map(asValue) });
      const response = xmlSuccess(xmlValue(params.map(asValue)));
      const read = xmlRpcParser.parse(parseXml(response, { normalize: false, trim: false }));
      expect(read.params[0]).toEqual({ Status: 'Success', Value: params.map(withoutIntegers) });
    }),
  );
});

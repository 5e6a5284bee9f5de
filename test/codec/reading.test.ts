// Goal: long texts are read in small pieces, so that others have their turn, and to the same values as at once.
// Method: texts of many pieces in which every cut falls within something that belongs together: an escape, a
// reference, a line end, a surrogate pair, a group of base64. Pauses are counted, not time.
import { describe, expect, test } from 'vitest';
import { readingJsonRpcCall } from '../../src/codec/jsonrpc-reader.ts';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { decodeLimits } from '../../src/codec/limits.ts';
import { type PausingRead, pieceUnits } from '../../src/codec/reading.ts';
import { readingXmlRpcCall, readXmlRpcCall } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import type { Value } from '../../src/std/value.ts';

interface Read<T> {
  readonly value?: T;
  readonly refused?: string;
  readonly pauses: number;
}

const read = <T>(reading: PausingRead<T>): Read<T> => {
  let pauses = 0;
  try {
    for (;;) {
      const step = reading.next();
      if (step.done === true) return { value: step.value, pauses };
      pauses += 1;
    }
  } catch (error) {
    if (error instanceof DecodeFailure) return { refused: error.message, pauses };
    throw error;
  }
};

const pieces = 4;
const filled = (pattern: string): string => pattern.repeat(Math.ceil((pieces * pieceUnits) / pattern.length));
const xml = (inner: string) =>
  `<methodCall><methodName>m</methodName><params><param><value>${inner}</value></param></params></methodCall>`;
const xmlParam = (text: string): Read<Value | undefined> => {
  const { value, ...rest } = read(readingXmlRpcCall(text, decodeLimits));
  return { ...rest, value: value?.params[0] };
};
const jsonParam = (text: string): Read<Value | undefined> => {
  const { value, ...rest } = read(readingJsonRpcCall(text, decodeLimits));
  return { ...rest, value: value?.params[0] };
};
/** Moves every cut by one. */
const shifts = [...Array(13).keys()].map((count) => 'x'.repeat(count));

describe('A long string of XML', () => {
  const written: readonly (readonly [written: string, read: string])[] = [
    ['a', 'a'],
    ['&amp;', '&'],
    ['&lt;&#65;&#x1f600;\r\n', '<A😀\n'],
    ['&#x0001f600;', '😀'],
    ['\r\n', '\n'],
    ['\r', '\n'],
    ['\r\r\n', '\n\n'],
    ['😀é', '😀é'],
  ];
  test.each(written)('of %j is what it says, wherever it is cut', (pattern, meant) => {
    for (const shift of shifts) {
      const many = filled(pattern);
      const { value, refused, pauses } = xmlParam(xml(`<string>${shift}${many}</string>`));
      expect(refused).toBeUndefined();
      // Not by `toBe`, which would show a megabyte.
      expect(value === shift + meant.repeat(many.length / pattern.length)).toBe(true);
      expect(pauses).toBeGreaterThanOrEqual(2 * pieces - 2);
    }
  });

  test('in CDATA has no references', () => {
    for (const shift of shifts) {
      const many = filled('&amp;\r\n');
      const { value } = xmlParam(xml(`<![CDATA[${shift}${many}]]>`));
      expect(value === shift + many.replaceAll('\r\n', '\n')).toBe(true);
    }
  });

  test('with something wrong in it is refused with the place', () => {
    const begun = xml('').indexOf('<value>') + '<value>'.length;
    for (const shift of shifts) {
      const before = shift + filled('&lt;');
      for (const wrong of ['&', '&lt', '&what;', '&#0;', '&#x110000;', '&#xd800;', '&;']) {
        const { refused } = xmlParam(xml(`${before}${wrong} `));
        expect(refused).toContain('Expected a reference');
        expect(refused).toContain(`at offset ${begun + before.length}`);
      }
    }
  });
});

describe('Long base64', () => {
  test('is the bytes that it says, with line ends anywhere', () => {
    for (const end of ['', '\r\n', '\n ']) {
      for (const shift of [0, 1, 2, 3]) {
        const bytes = new Uint8Array(3 * pieceUnits + shift).map((_, at) => at * 7);
        const lines = Buffer.from(bytes)
          .toString('base64')
          .replace(/.{1,73}/g, `$&${end}`);
        const { value, pauses } = xmlParam(xml(`<base64>${lines}</base64>`));
        expect(Buffer.from(bytes).equals(value as Uint8Array)).toBe(true);
        expect(pauses).toBeGreaterThan(pieces);
      }
    }
  });

  test('with padding anywhere but behind the last is refused', () => {
    const half = filled('AAAA');
    for (const wrong of [`${half}AA==${half}`, `${half}=`, `AA==${half}`, `${half}A`, `${half}A===`]) {
      expect(xmlParam(xml(`<base64>${wrong}</base64>`)).refused).toContain('Expected base64');
    }
    expect(
      xmlParam(xml(`<base64>${half}AA=${' '.repeat(2 * pieceUnits)}=</base64>`)).refused,
    ).toBeUndefined();
  });
});

describe('A long string of JSON', () => {
  test.each(['\\n', '\\\\', '\\"', '\\u0041', '\\ud83d\\ude00', '😀', 'é\\n', 'a'])(
    'of %j is what it says, wherever it is cut',
    (pattern) => {
      for (const shift of shifts) {
        const literal = `"${shift}${filled(pattern)}\\t"`;
        const { value, refused, pauses } = jsonParam(`{"method":"m","params":[${literal}],"id":1}`);
        expect(refused).toBeUndefined();
        expect(value === JSON.parse(literal)).toBe(true);
        expect(pauses).toBeGreaterThanOrEqual(2 * pieces - 2);
      }
    },
  );

  test('with something wrong in it is refused with the place', () => {
    const begun = '{"method":"m","params":["'.length;
    for (const pattern of ['\\n', '\\ud83d\\ude00']) {
      const before = filled(pattern);
      for (const wrong of ['\\x', '\\ud83d', '\\ude00', '\n', '\\u12']) {
        const { refused } = jsonParam(`{"method":"m","params":["${before}${wrong}"],"id":1}`);
        expect(refused).toMatch(/^Expected (?:an escape|both halves|four hexadecimal)/);
        const at = Number(/at offset (\d+)$/.exec(refused ?? '')?.[1]);
        expect(at - begun - before.length).toBeLessThanOrEqual(3);
        expect(at).toBeGreaterThanOrEqual(begun + before.length);
      }
      expect(jsonParam(`{"method":"m","params":["${before}`).refused).toContain('the end of the string');
    }
  });
});

describe('A text of very many small things', () => {
  const values = Array<Value>(20_000).fill(new Map([['k', 'v']]));

  test('is read with pauses too', () => {
    const inXml = xmlCall('m', [values]);
    const inJson = jsonCall('m', [values], 1n);
    expect(xmlParam(inXml).value).toEqual(values);
    expect(jsonParam(inJson).value).toEqual(values);
    expect(xmlParam(inXml).pauses).toBeGreaterThanOrEqual(2 * Math.floor(inXml.length / pieceUnits) - 2);
    expect(jsonParam(inJson).pauses).toBeGreaterThanOrEqual(2 * Math.floor(inJson.length / pieceUnits) - 2);
  });

  test.each(['<!---->', '<?a?>', '<![CDATA[]]>', 'x<!---->'])('%j counts as a value does', (pattern) => {
    const limits = { ...decodeLimits, itemsMax: 100 };
    expect(() => readXmlRpcCall(xml(pattern.repeat(90)), limits)).not.toThrow();
    expect(() => readXmlRpcCall(xml(pattern.repeat(110)), limits)).toThrow('Expected at most 100 values');
  });

  test('a tag full of attributes is refused', () => {
    const attributes = ' a="&amp;"'.repeat(2_000);
    expect(xmlParam(`<methodCall${attributes}></methodCall>`).refused).toContain('Expected a tag of at most');
    expect(xmlParam(`<${'a'.repeat(1e6)}>`).refused).toContain('Expected');
  });
});

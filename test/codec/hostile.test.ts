// Goal: no text makes a reader hang, overflow the stack or throw anything but a DecodeFailure.
// Method: a long run of each pattern that is known to hurt parsers, inside and outside a document, with
// a deadline that a reader of quadratic cost misses by far; then generated garbage and documents
// with pieces taken out, doubled or swapped.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJson, readJsonRpcCall, readJsonRpcResponse } from '../../src/codec/jsonrpc-reader.ts';
import { jsonSuccess, jsonValue } from '../../src/codec/jsonrpc-writer.ts';
import { readXmlRpcCall, readXmlRpcResponse, readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall, xmlSuccess, xmlValue } from '../../src/codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import { anyText } from '../any-text.ts';
import { value } from './values.ts';

const size = 256 * 1024;
/** A linear reader takes some milliseconds; a quadratic one half a minute. */
const deadlineMs = 5_000;

const outcome = (read: () => unknown): 'read' | 'refused' => {
  try {
    read();
    return 'read';
  } catch (error) {
    if (error instanceof DecodeFailure) return 'refused';
    throw error;
  }
};

const within = (read: () => unknown): void => {
  const start = performance.now();
  outcome(read);
  expect(performance.now() - start).toBeLessThan(deadlineMs);
};

const filled = (pattern: string): string => pattern.repeat(Math.ceil(size / pattern.length));

describe('a long run of one pattern', () => {
  const xml = [
    ...[
      '<',
      '<!',
      '<!-',
      '<!--',
      '<!-- -->',
      '<!---',
      '<![CDATA[',
      '<![CDATA[]]>',
      '<?',
      '<?a ',
      '<?a?>',
      '</',
      '</a',
    ],
    ...[
      '&',
      '&#',
      '&#x',
      '&amp',
      '&amp;',
      '&;',
      '&#65;',
      '<a ',
      '<a b',
      '<a b=',
      '<a b="',
      '<a b="" ',
      ' ',
      '\r',
      ']',
    ],
    ...[
      '<value>',
      '<value/>',
      '<value></value>',
      '<a>',
      '<a/>',
      '1',
      'a',
      '=',
      '1.',
      '1e',
      '\0',
      '\ud800',
      '\u00e9',
    ],
    ...[
      '<value><array><data>',
      '<value><struct><member><name>',
      '</data></array></value>',
      '<param><value/></param>',
    ],
  ];

  test.each(xml)('%j is read or refused by the XML reader in linear time', (pattern) => {
    const many = filled(pattern);
    within(() => readXmlRpcCall(many));
    within(() => readXmlRpcResponse(`<?xml version="1.0"?>${many}`));
    within(() =>
      readXmlRpcCall(`<methodCall><methodName>m</methodName><params>${many}</params></methodCall>`),
    );
    within(() => readXmlRpcCall(`<methodCall ${many}`));
    for (const tag of ['string', 'int', 'double', 'base64', 'boolean', 'nil']) {
      within(() => readXmlRpcValue(`<value><${tag}>${many}x</${tag}></value>`));
    }
    within(() => readXmlRpcValue(`<value><array><data>${many}</data></array></value>`));
    within(() => readXmlRpcValue(`<value>${many}</value>`));
  });

  const json = [
    ...[
      '[',
      '{',
      '{"a":',
      '[[],',
      '[1,',
      '"',
      '"a"',
      '"a",',
      '1',
      '-',
      '1.',
      '0',
      '1e',
      '.1',
      'e+',
      ' ',
      '\n',
      ',',
    ],
    ...[
      '\\',
      '\\u',
      '\\ud83d',
      '\\u0041',
      '\\\\',
      '\\"',
      '/',
      't',
      'true',
      'NaN',
      'Infinity,',
      '\0',
      '\ud800',
      '\u00e9',
    ],
  ];

  test.each(json)('%j is read or refused by the JSON reader in linear time', (pattern) => {
    const many = filled(pattern);
    within(() => readJson(many));
    within(() => readJson(`"${many}"`));
    within(() => readJson(`"${many}`));
    within(() => readJson(`[${many}1]`));
    within(() => readJson(`1.${many}`));
    within(() => readJsonRpcCall(`{"method":"m","params":[${many}],"id":1}`));
  });

  test('a struct of very many members that share one name is one member', () => {
    const members = filled('<member><name>a</name><value/></member>');
    expect(readXmlRpcValue(`<value><struct>${members}</struct></value>`)).toEqual(new Map([['a', '']]));
  });
});

describe('garbage', () => {
  const readers: readonly ((text: string) => unknown)[] = [
    readXmlRpcCall,
    readXmlRpcResponse,
    readXmlRpcValue,
    readJson,
    readJsonRpcCall,
    readJsonRpcResponse,
  ];
  const pieces = fc.constantFrom(
    ...[
      '<value>',
      '</value>',
      '<value/>',
      '<struct>',
      '</struct>',
      '<member>',
      '<name>',
      '<array>',
      '<data>',
      '<!--',
    ],
    ...[
      '-->',
      '<![CDATA[',
      ']]>',
      '<?',
      '?>',
      '&lt;',
      '&',
      ';',
      '<',
      '>',
      '/',
      '"',
      '=',
      ' ',
      'a',
      '1',
      '<nil/>',
    ],
    ...[
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '\\u',
      '\\n',
      '-',
      '.',
      'e',
      'null',
      'NaN',
      '\0',
      '\ud800',
      '😀',
    ],
  );
  const garbage = fc.oneof(
    anyText,
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
  );

  test('is read or refused, and nothing else is thrown', () => {
    fc.assert(
      fc.property(garbage, (text) => {
        for (const read of readers) expect(outcome(() => read(text))).toMatch(/read|refused/);
      }),
      { numRuns: 2_000 },
    );
  });

  test('documents with pieces taken out, doubled or swapped are read or refused', () => {
    const document = value.chain((v) =>
      fc.constantFrom(
        xmlCall('m', [v]),
        xmlSuccess(xmlValue(v)),
        xmlValue(v),
        jsonSuccess(2, 1n, jsonValue(v)),
      ),
    );
    const cuts = fc.array(fc.nat(), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(document, cuts, fc.boolean(), (text, at, swap) => {
        const [a, b, c, d] = at.map((n) => n % (text.length + 1)).sort((x, y) => x - y) as [
          number,
          number,
          number,
          number,
        ];
        const changed = swap
          ? text.slice(0, a) + text.slice(c, d) + text.slice(b, c) + text.slice(a, b) + text.slice(d)
          : text.slice(0, b) + text.slice(a);
        for (const read of readers) expect(outcome(() => read(changed))).toMatch(/read|refused/);
      }),
      { numRuns: 1_000 },
    );
  });

  test('every beginning of a document that is not all of it is refused', () => {
    const call = xmlCall('VM.start', [['a', 1n, true, null], new Map([['k', 1.5]])]);
    const json = jsonSuccess(1, 7n, jsonValue([['a', 1n, true, null], new Map([['k', 1.5]])]));
    for (let end = 0; end < call.length; end += 1) {
      expect(outcome(() => readXmlRpcCall(call.slice(0, end)))).toBe('refused');
    }
    for (let end = 0; end < json.length; end += 1) {
      expect(outcome(() => readJsonRpcResponse(json.slice(0, end)))).toBe('refused');
    }
  });
});

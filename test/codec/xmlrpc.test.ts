// Goal: XML-RPC is read strictly and written so that every reader gets the same value back.
// Method: round trips of generated values, single documents for each rule, and what must be refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeLimits } from '../../src/codec/limits.ts';
import { readXmlRpcCall, readXmlRpcResponse, readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import {
  xmlCall,
  xmlFailure,
  xmlFailureValue,
  xmlFloat,
  xmlSuccess,
  xmlSuccessParts,
  xmlText,
  xmlValue,
} from '../../src/codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import type { Value } from '../../src/std/value.ts';
import { anyText } from '../any-text.ts';
import { mapLeaves, text, value } from './values.ts';

/** Integers have no tag, and floats have sixteen digits. */
const afterXml = (given: Value): Value =>
  mapLeaves((leaf) => {
    if (typeof leaf === 'bigint') return String(leaf);
    const rounded = typeof leaf === 'number' && Number.isFinite(leaf) && leaf !== 0;
    return rounded ? Number(leaf.toPrecision(16)) : leaf;
  }, given);

describe('values', () => {
  test('every value comes back from its XML, integers as text', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(readXmlRpcValue(xmlValue(given))).toEqual(afterXml(given));
      }),
    );
  });

  test('every call comes back from its XML', () => {
    fc.assert(
      fc.property(text, fc.array(value, { maxLength: 4 }), (method, params) => {
        expect(readXmlRpcCall(xmlCall(method, params))).toEqual({ method, params: params.map(afterXml) });
      }),
    );
  });

  test('what XML cannot carry is left out, so that one odd character does not spoil an answer', () => {
    expect(xmlText('a\u0000b\u000b\ud800c\ufffe\tz\n')).toBe('abc\tz\n');
    fc.assert(
      fc.property(anyText, (any) => {
        expect(typeof readXmlRpcValue(xmlValue(any))).toBe('string');
      }),
    );
  });

  test('a carriage return is written as a reference, since XML reads every line end as LF', () => {
    expect(xmlValue('a\rb')).toBe('<value>a&#13;b</value>');
    expect(readXmlRpcValue('<value>a\r\nb\rc&#13;\n</value>')).toBe('a\nb\nc\r\n');
  });

  test('names of members are escaped', () => {
    expect(xmlValue(new Map([['a<b&"', 'x']]))).toContain('<name>a&lt;b&amp;&quot;</name>');
  });

  test('of a member that is there twice the last value counts', () => {
    const member = (v: string) => `<member><name>k</name><value>${v}</value></member>`;
    const read = readXmlRpcValue(`<value><struct>${member('1')}${member('2')}</struct></value>`);
    expect(read).toEqual(new Map([['k', '2']]));
  });

  test('a member called __proto__ is a member like any other', () => {
    const read = readXmlRpcValue(xmlValue(new Map([['__proto__', new Map([['polluted', 'x']])]])));
    expect((read as Map<string, Value>).get('__proto__')).toEqual(new Map([['polluted', 'x']]));
    expect('polluted' in {}).toBe(false);
  });

  test.each([
    [1, '1'],
    [-0, '-0'],
    [0.1, '0.1'],
    [0.1 + 0.2, '0.3'],
    [9.95, '9.949999999999999'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [123456789012345.6, '123456789012345.6'],
    [1e15, '1000000000000000'],
    [1e16, '1e+16'],
    [1e21, '1e+21'],
    [-1.5e-300, '-1.5e-300'],
    [5e-324, '4.940656458412465e-324'],
    [Number.MAX_VALUE, '1.797693134862316e+308'],
    [Number.NaN, 'nan'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
  ])('the float %d is written %s, as C prints it with sixteen digits', (float, written) => {
    expect(xmlFloat(float)).toBe(written);
  });

  test('numbers are read with a sign, and exactly up to the bounds of int64', () => {
    const read = (type: string, of: string) => readXmlRpcValue(`<value><${type}>${of}</${type}></value>`);
    expect(read('int', '-9223372036854775808')).toBe(-(2n ** 63n));
    expect(read('i8', '+9223372036854775807')).toBe(2n ** 63n - 1n);
    expect(read('double', '-inf')).toBe(-Infinity);
    expect(read('double', 'nan')).toBeNaN();
    expect(read('double', '-.5e1')).toBe(-5);
    for (const of of ['9223372036854775808', '12abc', ' 1', '1.0', '-', '1'.repeat(10_000)]) {
      expect(() => read('i4', of)).toThrow(DecodeFailure);
    }
    for (const of of ['', '1e', '.', '1,5', '0x1', 'infinit'])
      expect(() => read('double', of)).toThrow(DecodeFailure);
  });

  test('base64 may be broken into lines, and is refused when it is not base64', () => {
    const read = (of: string) => readXmlRpcValue(`<value><base64>${of}</base64></value>`);
    expect(read('\n aG\r\nk=\n')).toEqual(new Uint8Array([104, 105]));
    expect(read('')).toEqual(new Uint8Array());
    for (const of of ['aGk', 'aGk-', 'a===', '=aGk', 'aG=k']) expect(() => read(of)).toThrow(DecodeFailure);
  });
});

describe('documents', () => {
  const method = (inside: string) =>
    `<methodCall><methodName>m</methodName><params>${inside}</params></methodCall>`;

  test('a byte order mark, declaration, comments, instructions, CDATA, attributes and white space are XML', () => {
    const read = readXmlRpcCall(`\ufeff<?xml version='1.0' encoding="utf-8" ?>
      <!-- <a> & --><?php echo "<b>" ?>
      <methodCall xmlns:ex = 'http://ex&amp;ample' a="">
        <methodName >V<!-- -->M.<![CDATA[st]]>art</methodName>
        <params>
          <param> <value><string>a<![CDATA[<&>]]]]>&#x41;&#66;&apos;</string></value> </param>
          <param><value>
            <array> <data> <value>
              <int>1</int></value> <value/> </data> </array>
          </value></param>
        </params >
      </methodCall>
      <!-- end -->`);
    expect(read).toEqual({ method: 'VM.start', params: ["a<&>]]AB'", [1n, '']] });
  });

  test.each([
    ['a document type', `<!DOCTYPE a [<!ENTITY x "y">]>${method('')}`, 'document type'],
    ['an entity that is not predefined', method('<param><value>&nbsp;</value></param>'), '&amp;'],
    ['a bare ampersand', method('<param><value>a & b</value></param>'), '&amp;'],
    ['a reference to a forbidden character', method('<param><value>&#0;</value></param>'), '&amp;'],
    ['a reference to half a character', method('<param><value>&#xD800;</value></param>'), '&amp;'],
    ['a reference beyond Unicode', method('<param><value>&#x110000;</value></param>'), '&amp;'],
    ['a control character', method('<param><value>\u0001</value></param>'), 'U+0001'],
    ['half a surrogate pair', method('<param><value>\udc00</value></param>'), 'U+dc00'],
    ['tags that do not match', method('<param><value><int>1</i4></value></param>'), '</int>'],
    ['a tag in upper case', method('<param><Value>1</Value></param>'), '<value>'],
    ['text beside a tag', method('<param><value>a<int>1</int></value></param>'), 'no text'],
    ['text between params', method('a<param><value>1</value></param>'), 'no text'],
    ['text after the end', `${method('')}x`, 'no text'],
    ['a second document', method('') + method(''), 'end of the text'],
    ['an unknown type', method('<param><value><int32>1</int32></value></param>'), 'type'],
    ['two values in a param', method('<param><value/><value/></param>'), '</param>'],
    ['a param without a value', method('<param></param>'), '<value>'],
    ['an empty param', method('<param/>'), '<value>'],
    ['a tag in a string', method('<param><value><string><b/></string></value></param>'), '</string>'],
    ['a member without a name', method('<param><value><struct><member/></struct></value></param>'), '<name>'],
    ['something in nil', method('<param><value><nil>1</nil></value></param>'), 'nothing'],
    ['no params', '<methodCall><methodName>m</methodName></methodCall>', '<params>'],
    ['an end that is missing', '<methodCall><methodName>m</methodName><params/>', '</methodCall>'],
    ['a comment without an end', '<!-- <methodCall>', 'comment'],
    ['two hyphens in a comment', `<!-- a -- b -->${method('')}`, 'comment'],
    ['a declaration that is not first', ` <?xml version="1.0"?>${method('')}`, 'very start'],
    ['an attribute without quotes', '<methodCall a=1>', 'quoted'],
    ['an attribute without a value', '<methodCall a>', '='],
    ['attributes without space', '<methodCall a="1"b="2">', 'white space'],
    ['an entity in an attribute', '<methodCall a="&x;">', '&amp;'],
    ['a response', '<methodResponse/>', '<methodCall>'],
  ])('%s is refused, and the failure says what was expected and where', (_, document, expected) => {
    const failure = (() => {
      try {
        return readXmlRpcCall(document);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(DecodeFailure);
    expect((failure as DecodeFailure).message).toContain(expected);
    expect((failure as DecodeFailure).message).toMatch(/^Expected .* at offset \d+$/);
  });

  const nested = (depth: number): Value => (depth === 0 ? 'x' : [nested(depth - 1)]);

  test('as deep as depthMax is read, one deeper is refused', () => {
    expect(readXmlRpcCall(xmlCall('m', [nested(64)])).params).toEqual([nested(64)]);
    expect(() => readXmlRpcCall(xmlCall('m', [nested(65)]))).toThrow(/at most 64/);
  });

  test('as many values as itemsMax are read, one more is refused', () => {
    const call = xmlCall('m', [['a', new Map([['k', 'b']])]]);
    expect(readXmlRpcCall(call, { ...decodeLimits, itemsMax: 4 }).params).toHaveLength(1);
    expect(() => readXmlRpcCall(call, { ...decodeLimits, itemsMax: 3 })).toThrow(/at most 3 values/);
  });

  test('a text as long as textMax is read, one longer is refused', () => {
    const call = xmlCall('m', []);
    expect(readXmlRpcCall(call, { ...decodeLimits, textMax: call.length }).method).toBe('m');
    expect(() => readXmlRpcCall(call, { ...decodeLimits, textMax: call.length - 1 })).toThrow(DecodeFailure);
  });
});

describe('responses', () => {
  const bare = (inside: string) =>
    `<methodResponse><params><param>${inside}</param></params></methodResponse>`;

  test('a success is its value, and can be sent in parts', () => {
    const response = xmlSuccess(xmlValue('OpaqueRef:1'));
    expect(readXmlRpcResponse(response)).toEqual({ kind: 'success', value: 'OpaqueRef:1' });
    expect(xmlSuccessParts.join(xmlValue('OpaqueRef:1'))).toBe(response);
  });

  test('a failure is its description, whatever that is made of', () => {
    const failure = xmlFailure('VM_BAD_POWER_STATE', ['a<b', '']);
    expect(readXmlRpcResponse(failure)).toEqual({
      kind: 'failure',
      error: ['VM_BAD_POWER_STATE', 'a<b', ''],
    });
    const variant = ['Does_not_exist', ['VM', 'x']];
    expect(readXmlRpcResponse(xmlFailureValue(variant))).toEqual({ kind: 'failure', error: variant });
  });

  test('a value without an envelope is bare, a struct that only looks like one too', () => {
    expect(readXmlRpcResponse(`<?xml version='1.0'?>\n${bare('\n<value><nil/></value>\n')}\n`)).toEqual({
      kind: 'bare',
      value: null,
    });
    const status = new Map<string, Value>([['Status', 'Success']]);
    expect(readXmlRpcResponse(bare(xmlValue(status)))).toEqual({ kind: 'bare', value: status });
  });

  test('a fault is its code and its text, with a tag or without', () => {
    const fault = (code: string) =>
      `<methodResponse>\n<fault>\n<value><struct><member><name>faultCode</name><value>${code}</value></member>
       <member><name>faultString</name><value><string>no such SR</string></value></member></struct></value>
       </fault></methodResponse>`;
    const expected = { kind: 'fault', code: 47n, message: 'no such SR' };
    expect(readXmlRpcResponse(fault('<int>47</int>'))).toEqual(expected);
    expect(readXmlRpcResponse(fault('47'))).toEqual(expected);
    expect(() => readXmlRpcResponse(fault('<nil/>'))).toThrow(/faultCode/);
  });

  test('a response of no value or of two is refused', () => {
    expect(() => readXmlRpcResponse('<methodResponse><params/></methodResponse>')).toThrow(/one value/);
    expect(() => readXmlRpcResponse(bare('<value/></param><param><value/>'))).toThrow(/one value/);
    expect(() => readXmlRpcResponse('<methodResponse></methodResponse>')).toThrow(/<params>/);
  });
});

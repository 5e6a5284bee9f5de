/**
 * Text, or a list of such: `('a' ('b' 'c'))`. Sets, maps and whole rows are written so in columns of text.
 */
export type Sexpr = string | readonly Sexpr[];

/** Nested deeper than any value of ours. */
const depthMax = 16;

const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, (one) => `\\${one}`)}'`;

export const writeSexpr = (value: Sexpr): string =>
  typeof value === 'string' ? quoted(value) : `(${value.map(writeSexpr).join(' ')})`;

interface Reading {
  readonly text: string;
  at: number;
}

const malformed = ({ at }: Reading): Error => new Error(`Not an s-expression at position ${at}`);

const skipSpace = (reading: Reading): void => {
  while (/\s/.test(reading.text[reading.at] ?? '')) reading.at += 1;
};

/** Whatever follows a backslash stands for itself. */
const readText = (reading: Reading, quote: string): string => {
  const { text } = reading;
  let read = '';
  for (let at = reading.at + 1; at < text.length; at += 1) {
    if (text[at] === quote) {
      reading.at = at + 1;
      return read;
    }
    if (text[at] === '\\') at += 1;
    read += text[at] ?? '';
  }
  throw malformed(reading);
};

const readValue = (reading: Reading, depth: number): Sexpr => {
  skipSpace(reading);
  const first = reading.text[reading.at];
  if (first === "'" || first === '"') return readText(reading, first);
  if (first !== '(' || depth > depthMax) throw malformed(reading);
  const items: Sexpr[] = [];
  reading.at += 1;
  for (;;) {
    skipSpace(reading);
    if (reading.text[reading.at] === ')') break;
    items.push(readValue(reading, depth + 1));
  }
  reading.at += 1;
  return items;
};

/** Throws an error where the text is no such thing. */
export const readSexpr = (text: string): Sexpr => {
  const reading: Reading = { text, at: 0 };
  const value = readValue(reading, 0);
  skipSpace(reading);
  if (reading.at !== text.length) throw malformed(reading);
  return value;
};

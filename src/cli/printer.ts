import type { Conversation } from './conversation.ts';

/** Labels with their values. */
export type TableRecord = readonly (readonly [label: string, value: string])[];

/** What a command has to say. With `--minimal` only values are told, in one line at the end. */
export interface Printer {
  table(records: readonly TableRecord[]): Promise<void>;
  list(items: readonly string[]): Promise<void>;
  message(text: string): Promise<void>;
  /** On the client's stderr, as it is. */
  error(text: string): Promise<void>;
  /** To be called once, when all went well. */
  end(): Promise<void>;
}

/** The first label begins its line, the others end before the colons. */
const recordText = (record: TableRecord): string => {
  const width = 4 + Math.max(0, ...record.map(([label]) => label.length));
  const lines = record.map(
    ([label, value], i) => `${i === 0 ? label.padEnd(width) : label.padStart(width)}: ${value}`,
  );
  return `${lines.join('\n')}\n\n`;
};

export const plainPrinter = (client: Conversation): Printer => {
  const print = (text: string): Promise<void> => client.tell({ kind: 'print', text });
  const each = async (texts: readonly string[]): Promise<void> => {
    for (const text of texts) await print(text);
  };
  return {
    table: (records) => each(records.map(recordText)),
    list: each,
    message: print,
    error: (text) => client.tell({ kind: 'print-error', text }),
    end: async () => {},
  };
};

/** Of a table the first value of each record counts; what is said last comes first. */
export const minimalPrinter = (client: Conversation): Printer => {
  const pieces: string[] = [];
  const add = (items: readonly string[]): void => {
    if (items.length > 0) pieces.unshift(items.map(escaped).join(','));
  };
  return {
    table: async (records) => {
      const values = records.map(([first]) => first?.[1]);
      if (!values.includes(undefined)) add(values as readonly string[]);
    },
    list: async (items) => add(items),
    message: async () => {},
    error: async () => {},
    end: () => client.tell({ kind: 'print', text: pieces.join(',') }),
  };
};

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll(',', '\\,');

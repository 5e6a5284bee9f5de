// What comes from outside (a client, storage, another host) and goes on to another program or the system: it
// passes here, where the one table says which texts may. Types keep any other text out.

declare const mark: unique symbol;

/** A text from outside that has one of the forms. Nothing but `allowed` makes one. */
export type Allowed = string & { readonly [mark]: 'allowed' };

interface Form {
  readonly pattern: RegExp;
  readonly charsMax: number;
  /** Goes on after "it is". */
  readonly otherwise: string;
}

const forms = {
  macAddress: { pattern: /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, charsMax: 17, otherwise: 'no MAC address' },
  keymap: { pattern: /^[a-z]{2}(-[a-z]{2})?$/, charsMax: 5, otherwise: 'no keymap, such as en-us' },
  uuid: { pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, charsMax: 36, otherwise: 'no UUID' },
  /** The kernel's own rule for the names of its network devices, and no option of a program. */
  networkDevice: {
    pattern: /^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/,
    charsMax: 15,
    otherwise: 'no name of a network device',
  },
  /** Of machines of QEMU, and of our own processes. */
  name: { pattern: /^[a-z0-9][a-z0-9._-]*$/, charsMax: 64, otherwise: 'no name of a machine or process' },
  /** Of a keyboard. */
  key: { pattern: /^[a-z0-9]$/, charsMax: 1, otherwise: 'no letter and no digit' },
  pciSlot: { pattern: /^0x[0-9a-f]{1,2}$/, charsMax: 4, otherwise: 'no PCI slot' },
  instant: { pattern: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/, charsMax: 19, otherwise: 'no date and time' },
  path: { pattern: /^\/[^\0]*$/, charsMax: 4_095, otherwise: 'no absolute path' },
  /** Whole, as one argument. The kernel takes 128 KiB, counted in bytes. */
  text: { pattern: /^[^\0]*$/, charsMax: 32_768, otherwise: 'too long, or has a zero character in it' },
} as const satisfies Readonly<Record<string, Form>>;

export type FormOfText = keyof typeof forms;

export const isAllowed = (form: FormOfText, text: string): text is Allowed =>
  text.length <= forms[form].charsMax && forms[form].pattern.test(text);

/** Throws what `refusal` makes of the reason, such as "it is no MAC address". */
export const allowed = (form: FormOfText, text: string, refusal: (why: string) => Error): Allowed => {
  if (isAllowed(form, text)) return text;
  throw refusal(`it is ${forms[form].otherwise}`);
};

/** Whether a type has texts in it that the code does not spell out. */
type IsOpen<S extends string> = string extends S
  ? true
  : S extends `${infer First}${infer Rest}`
    ? string extends First
      ? true
      : IsOpen<Rest>
    : false;

/** The texts in it are the code's own, with numbers at most, or allowed. */
export type Spelt<T> = T extends Allowed
  ? T
  : T extends string
    ? true extends IsOpen<T>
      ? never
      : T
    : T extends number | boolean | null | undefined
      ? T
      : { readonly [K in keyof T]: Spelt<T[K]> };

/** An object for another program to read as JSON. Nothing but `said` makes one. */
export type Said = object & { readonly [mark]: 'said' };

/** Does not compile where a text has not passed `allowed`. */
export const said = <const T extends object>(value: T & Spelt<T>): Said => value as unknown as Said;

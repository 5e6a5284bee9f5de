/** One of the kinds of content that a client takes, with its wish for it from 0 to 1. `*` is any. */
export interface Accepted {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
}

/** Kinds in one header; browsers send about ten. */
export const acceptedMax = 64;

const token = "[\\w!#$&^.+*'|~-]+";
const range = new RegExp(`^(\\*|${token})/(\\*|${token})$`);
const quality = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?|\.\d{1,3})$/i;

/** An `Accept` header; undefined when it is not one. */
export const parseAccept = (header: string): readonly Accepted[] | undefined => {
  if (header.trim() === '') return [];
  const accepted: Accepted[] = [];
  for (const one of header.split(',', acceptedMax)) {
    const [kind = '', ...params] = one.split(';').map((part) => part.trim());
    const [, type, subtype] = range.exec(kind) ?? [];
    if (type === undefined || subtype === undefined || (type === '*' && subtype !== '*')) return undefined;
    const wish = params.map((param) => quality.exec(param)?.[1]).find((found) => found !== undefined);
    accepted.push({ type, subtype, quality: wish === undefined ? 1 : Number(wish) });
  }
  return accepted;
};

const covers = ({ type, subtype }: Accepted, offer: string): boolean => {
  const [offered, detail] = offer.split('/');
  return (type === '*' || type === offered) && (subtype === '*' || subtype === detail);
};

/** The offers that the client takes, dearest first; those that it likes alike stay in their order. */
export const chosenOf = (accepted: readonly Accepted[], offers: readonly string[]): readonly string[] => {
  const wish = (offer: string): number =>
    Math.max(0, ...accepted.filter((one) => covers(one, offer)).map((one) => one.quality));
  return offers.filter((offer) => wish(offer) > 0).toSorted((a, b) => wish(b) - wish(a));
};

import { type Adapter, against, skip } from '../subject.ts';
import { brief, from, now } from './heard.ts';
import { type Live, live } from './live.ts';

/** One end of a relation: a reference, or a set of them. */
interface End {
  readonly cls: any;
  readonly field: string;
  readonly many: boolean;
}

const endOf = ({ host }: Live, text: string): End => {
  const [cls = '', field = ''] = text.split('.');
  const declared = host.world.store.schemas.get(cls)?.cls.fields[field];
  if (declared === undefined) throw new Error(`${text} is not declared`);
  return { cls, field, many: declared.type.kind === 'set' };
};

/**
 * Rows are made, pointed at each other, pointed elsewhere and deleted; each time whoever gains or loses a
 * member must have it so and be heard of, unless its class has no events at all.
 */
export const relation: Adapter = live(async (here, { when, then }) => {
  if (!/^create, re-point or delete\b/.test(String(when['do'])))
    skip(`no relation is tried by: ${when['do']}`);
  const { store } = here.host.world;
  const [near, far] = (then['ends'] as [string, string]).map((text) => endOf(here, text)) as [End, End];
  const [pointing, pointed] = near.many && !far.many ? [far, near] : [near, far];
  const hears = store.schemas.get(pointed.cls)?.cls.events !== false;
  const itself = pointing.cls === pointed.cls && pointing.field === pointed.field;
  const make = (cls: any, ref: string, fields = {}): Promise<void> =>
    here.rows((tx) => tx.create(cls, ref as never, { uuid: ref, ...fields }));
  const value = (ref: string): unknown => (pointing.many ? [ref] : ref);
  for (const ref of ['x', 'y']) await make(pointed.cls, ref);
  const found: unknown[] = [];
  const expected: unknown[] = [];
  const step = async (
    change: () => Promise<void>,
    members: Readonly<Record<string, readonly string[]>>,
  ): Promise<void> => {
    const token = await now(here);
    await change();
    const modified = brief(await from(here, [pointed.cls], token, 0)).filter((one) => one.startsWith('mod'));
    for (const [ref, has] of Object.entries(members)) {
      const record = store.committed.require(pointed.cls, ref as never) as Record<string, unknown>;
      const is = record[pointed.field];
      found.push([ref, pointed.many ? is : [is].filter((one) => one !== 'OpaqueRef:NULL')]);
      expected.push([ref, has]);
      found.push([ref, modified.includes(`mod ${pointed.cls.toLowerCase()} ${ref}`)]);
      expected.push([ref, hears]);
    }
  };
  if (itself) return reflexive(here, pointing);
  await step(() => make(pointing.cls, 'a', { [pointing.field]: value('x') }), { x: ['a'] });
  await step(
    () => here.rows((tx) => tx.patch(pointing.cls, 'a' as never, { [pointing.field]: value('y') } as never)),
    { x: [], y: ['a'] },
  );
  await step(() => here.rows((tx) => tx.delete(pointing.cls, 'a' as never)), { y: [] });
  if (pointing.many && pointed.many) {
    await make(pointing.cls, 'b');
    const token = await now(here);
    await here.rows((tx) => tx.patch(pointed.cls, 'x' as never, { [pointed.field]: ['b'] } as never));
    const record = store.committed.require(pointing.cls, 'b' as never) as Record<string, unknown>;
    found.push(record[pointing.field], brief(await from(here, [pointing.cls], token, 0), 'b'));
    expected.push(['x'], [`mod ${pointing.cls.toLowerCase()} b`]);
  }
  return against(found, expected);
});

/** A set that is its own other end says only what its own row holds. */
const reflexive = async (here: Live, { cls, field }: End): Promise<unknown> => {
  const token = await now(here);
  await here.rows((tx) => tx.patch(cls, 'x' as never, { [field]: ['y'] } as never));
  const record = here.host.world.store.committed.require(cls, 'x' as never) as Record<string, unknown>;
  return against(
    [record[field], brief(await from(here, [cls], token, 0), 'x')],
    [['y'], [`mod ${cls.toLowerCase()} x`]],
  );
};

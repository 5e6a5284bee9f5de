import { unrestricted } from '../../../src/rules/features.ts';
import type { Case } from '../cases.ts';
import { mapOf } from '../subject.ts';
import { inLab, type Lab } from './lab.ts';

// TPMs of guests, made, filled, copied and ended by calls alone.

/** Secrets that hold what guests keep in TPMs. */
const secrets = async (lab: Lab): Promise<number> => ((await lab.ask('secret.get_all')) as string[]).length;

const done: Readonly<
  Record<string, (lab: Lab, at: { vm: string; tpm: string }, one: Case) => Promise<unknown>>
> = {
  'VTPM.destroy': async (lab, { vm, tpm }) => {
    await lab.ask('VTPM.set_contents', tpm, 'YWJj');
    const before = await secrets(lab);
    const answer = await lab.ask('VTPM.destroy', tpm);
    if (answer?.error !== undefined) return answer;
    const kept = (await secrets(lab)) === before - 1 ? 'destroyed' : 'kept';
    return { VTPMs: await lab.ask('VM.get_VTPMs', vm), 'its secret': kept };
  },
  'VM.clone': async (lab, { vm }) => {
    const clone = await lab.ask('VM.clone', vm, 'clone');
    const [made] = (await lab.ask('VM.get_VTPMs', clone)) as string[];
    const [is_unique, contents] = [
      await lab.ask('VTPM.get_is_unique', made ?? ''),
      await lab.ask('VTPM.get_contents', made ?? ''),
    ];
    return { 'new VTPM': { is_unique, contents } };
  },
  'VTPM.set_contents': async (lab, { tpm }, { when }) => {
    const before = await secrets(lab);
    const answer = await lab.ask('VTPM.set_contents', tpm, when['contents']);
    if (answer?.error !== undefined) return answer;
    return { contents: await lab.ask('VTPM.get_contents', tpm), secrets: (await secrets(lab)) - before + 1 };
  },
};

/** Whether a case is about what there is in a TPM, and not only about who may have one. */
export const isOfTpm = ({ when, then }: Case): boolean =>
  Object.hasOwn(done, String(when['call'])) &&
  ['new VTPM', 'contents', 'its secret'].some((key) => key in then);

export const tpms = inLab(async (lab, one) => {
  const { given, when } = one;
  const restrictions = new Map([...unrestricted, ...mapOf(given['pool.restrictions'])]);
  await lab.rows((tx) => tx.patch('pool', tx.only('pool')[0], { restrictions }));
  const vm = await lab.newVm();
  const { is_unique = false, contents } = given['VTPM t'] ?? {};
  const tpm = await lab.ask('VTPM.create', vm, is_unique);
  if (tpm?.error !== undefined) return tpm;
  if (contents !== undefined) await lab.ask('VTPM.set_contents', tpm, contents);
  return done[when['call']]?.(lab, { vm, tpm }, one);
});

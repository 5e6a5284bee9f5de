import { nodeTurns } from '../../src/drivers/node/turns.ts';
import { simulate } from '../../src/simulation/pool/simulate.ts';
const args = process.argv.slice(2);
const value = (name: string, other: number) => { const at = args.indexOf(name); return at < 0 ? other : Number(args[at + 1]); };
const from = value('--from', 1); const count = value('--seeds', 1);
const verbose = args.includes('--verbose');
process.on('unhandledRejection', (e) => { console.log('UNHANDLED', e); });
let failed = 0; const began = performance.now();
const kinds = new Map<string, number[]>();
for (let seed = from; seed < from + count; seed++) {
  const t = performance.now();
  const r = await simulate(seed, { turns: nodeTurns, stepsKeptMax: verbose ? 3000 : 60 });
  if (r.failure) { failed++; const k = r.failure.invariant + ': ' + r.failure.detail.replace(/[0-9a-f-]{36}/g, '*').slice(0, 200); kinds.set(k, [...(kinds.get(k) ?? []), seed]); }
  if (verbose) console.log(r.steps.join('\n'), JSON.stringify(r.options));
  if (verbose || count < 10) console.log(seed, r.failure?.detail ?? 'ok', r.digest.slice(0, 8), 'virtual', Math.round(r.virtualMs), 'asked', r.asked, 'acked', r.acknowledged, 'batches', r.batches, Math.round(performance.now() - t), 'ms');
}
for (const [k, s] of kinds) console.log(s.length, k, s.slice(0, 5).join(','));
console.log(`${count} seeds, ${failed} failed, ${Math.round(performance.now() - began)} ms`);
process.exit(0);

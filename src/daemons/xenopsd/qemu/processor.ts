// The processor that a guest sees. Guests of a pool see what all of its hosts have, so that they can move:
// the emulator is told by name which of its processor's features to leave out.
import { type CpuFeatures, intersect, parseFeatures } from '../../../std/cpu-features.ts';
import { membersOf } from '../../../std/reader.ts';
import { notSupported } from '../refusal.ts';
import { type Argument, option, spelt } from './arguments.ts';

export type Accelerator = 'kvm' | 'tcg';

/** A processor that the emulator has been seen to run a guest with. */
export interface GuestProcessor {
  readonly argument: Argument;
  /** All that it can do. */
  readonly features: CpuFeatures;
}

/** Where the emulator reads a word from, and what it calls its bits from 0 on: `-` for one without a name. */
interface Word {
  readonly leaf: number;
  readonly subleaf?: number;
  readonly register: 'EAX' | 'EBX' | 'ECX' | 'EDX';
  readonly names: readonly Argument[];
}

const words: readonly Word[] = [
  {
    ...{ leaf: 1, register: 'EDX' },
    names: spelt(
      'fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov',
      'pat pse36 pn clflush - ds acpi mmx fxsr sse sse2 ss ht tm ia64 pbe',
    ),
  },
  {
    ...{ leaf: 1, register: 'ECX' },
    names: spelt(
      'pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm',
      '- pcid dca sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave - avx f16c rdrand hypervisor',
    ),
  },
  {
    ...{ leaf: 0x8000_0001, register: 'EDX' },
    names: spelt(
      '- - - - - - - - - - - syscall - - - -',
      '- - - mp nx - mmxext - - fxsr-opt pdpe1gb rdtscp - lm 3dnowext 3dnow',
    ),
  },
  {
    ...{ leaf: 0x8000_0001, register: 'ECX' },
    names: spelt(
      'lahf-lm cmp-legacy svm extapic cr8legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt',
      '- lwp fma4 tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb',
    ),
  },
  { leaf: 0xd, subleaf: 1, register: 'EAX', names: spelt('xsaveopt xsavec xgetbv1 xsaves') },
  {
    ...{ leaf: 7, subleaf: 0, register: 'EBX' },
    names: spelt(
      'fsgsbase tsc-adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f avx512dq',
      'rdseed adx smap avx512ifma pcommit clflushopt clwb intel-pt avx512pf avx512er avx512cd sha-ni',
      'avx512bw avx512vl',
    ),
  },
  {
    ...{ leaf: 7, subleaf: 0, register: 'ECX' },
    names: spelt(
      '- avx512vbmi umip pku - waitpkg avx512vbmi2 - gfni vaes vpclmulqdq avx512vnni avx512bitalg -',
      'avx512-vpopcntdq - la57 - - - - - rdpid - bus-lock-detect cldemote - movdiri movdir64b - sgxlc pks',
    ),
  },
  { leaf: 0x8000_0007, register: 'EDX', names: spelt('- - - - - - - - invtsc') },
  {
    ...{ leaf: 0x8000_0008, register: 'EBX' },
    names: spelt(
      'clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp - - - - - - - -',
      'amd-ssbd virt-ssbd amd-no-ssb',
    ),
  },
  {
    ...{ leaf: 7, subleaf: 0, register: 'EDX' },
    names: spelt(
      '- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect - md-clear - - - serialize -',
      'tsx-ldtrk - - arch-lbr - - amx-bf16 avx512-fp16 amx-tile amx-int8 spec-ctrl stibp -',
      'arch-capabilities core-capability ssbd',
    ),
  },
  { leaf: 7, subleaf: 1, register: 'EAX', names: spelt('- - - - avx-vnni avx512-bf16') },
];

/** Of what the emulator says of a processor of its own. Empty where it does not say it so. */
export const featuresSaid = (answer: unknown): CpuFeatures => {
  const said = Array.isArray(answer) ? answer.map(membersOf) : [];
  if (said.length === 0) return [];
  return words.map(({ leaf, subleaf, register }) => {
    const word = said.find(
      (one) =>
        one['cpuid-input-eax'] === leaf &&
        (one['cpuid-input-ecx'] ?? 0) === (subleaf ?? 0) &&
        one['cpuid-register'] === register,
    );
    return Number(word?.['features'] ?? 0) >>> 0;
  });
};

/** What a guest of a pool with these features gets; without any it gets all. */
export const featuresWanted = (
  platform: ReadonlyMap<string, string>,
  { features }: GuestProcessor,
): CpuFeatures => {
  const text = platform.get('featureset') ?? '';
  const wanted = parseFeatures(text);
  if (wanted === undefined) throw notSupported('platform:featureset', text, 'it is no list of words');
  const common = intersect(features, wanted);
  return common.slice(0, features.length);
};

/** The processor without what a guest is not to have. */
export const processorWith = (processor: GuestProcessor, wanted: CpuFeatures): Argument =>
  words.reduce((before, { names }, at) => {
    const surplus = ((processor.features[at] ?? 0) & ~(wanted[at] ?? 0)) >>> 0;
    const without = names.filter((name, bit) => name !== '-' && ((surplus >>> bit) & 1) === 1);
    return without.reduce((so, name) => option`${so},${name}=off`, before);
  }, processor.argument);

// A guest of 512 bytes: what a BIOS loads from the first sector of a disk, in 16-bit machine code. It
// prints a line on the first serial port, may wait for a byte from there, and then ends as told.

export interface BootSector {
  /** ASCII; CR and LF are added. */
  readonly line: string;
  readonly ending: 'poweroff' | 'reboot' | 'halt';
  /** With `serial`, it does nothing until a byte comes in on the serial port. */
  readonly waitForKey: 'serial' | 'none';
  /** While it waits: whether pressing the power button turns it off, as a real system would. */
  readonly powerButton?: 'obeys' | 'ignores';
  /** While it waits: whether it gives up PCI devices that it is asked for. */
  readonly devices?: 'releases' | 'keeps';
  /** With `letters`, a byte other than `q` is answered with the next letter from A, and the wait goes on. */
  readonly answers?: 'nothing' | 'letters';
  /** With `sectors`, the letter fills a sector of the disk first, from the second one on. */
  readonly writes?: 'nothing' | 'sectors';
}

const SECTOR_BYTES = 512;
const DISK_BYTES = 1024 * 1024;
const LOADED_AT = 0x7c00;
const LINE_MAX = 256;

/** A byte, a place to jump to, or a jump there: an opcode and a signed distance. */
type Code = number | { label: string } | { jump: readonly number[]; to: string };

const word = (value: number): number[] => [value & 0xff, value >> 8];
const dx = (port: number): Code[] => [0xba, ...word(port)]; // mov dx, port
const jz = (to: string): Code => ({ jump: [0x74], to });
const jnz = (to: string): Code => ({ jump: [0x75], to });
const jmp = (to: string): Code => ({ jump: [0xeb], to });

const COM1_DATA = 0x3f8;
const COM1_STATUS = 0x3fd; // bit 0: a byte came in, bit 5: ready to send
const PM_STATUS = 0x600; // ACPI events that happened, bit 8: power button
const PM_ENABLE = 0x602; // ACPI events that are wanted, the same bits
const PM_CONTROL = 0x604; // bit 13: sleep now; sleep type 0 is off
const PCI_EJECT_WANTED = 0xae04; // one bit for each slot
const PCI_EJECT = 0xae08; // likewise: the slots that are let go of
const PCI_BUS = 0xae10; // which bus the two above speak of

const setUp: Code[] = [
  ...[0x31, 0xc0], // xor ax, ax
  ...[0x8e, 0xd8], // mov ds, ax
  ...[0x8e, 0xd0], // mov ss, ax
  ...[0xbc, ...word(LOADED_AT)], // mov sp, LOADED_AT
  0xfc, // cld
  ...[0xb3, 0x41], // mov bl, 'A'
  // Before anything is printed: whoever has seen the line may press the button.
  ...dx(PM_ENABLE),
  ...[0xb8, ...word(0x100)], // mov ax, 1 << 8
  0xef, // out dx, ax
];

const print = (textAt: number): Code[] => [
  ...[0xbe, ...word(textAt)], // mov si, text
  { label: 'next character' },
  0xac, // lodsb
  ...[0x84, 0xc0], // test al, al
  jz('printed'),
  ...[0x88, 0xc4], // mov ah, al
  ...dx(COM1_STATUS),
  { label: 'not ready' },
  0xec, // in al, dx
  ...[0xa8, 0x20], // test al, 1 << 5
  jz('not ready'),
  ...[0x88, 0xe0], // mov al, ah
  ...dx(COM1_DATA),
  0xee, // out dx, al
  jmp('next character'),
  { label: 'printed' },
];

const releaseDevices: Code[] = [
  ...dx(PCI_BUS),
  ...[0x66, 0x31, 0xc0], // xor eax, eax
  ...[0x66, 0xef], // out dx, eax
  ...dx(PCI_EJECT_WANTED),
  ...[0x66, 0xed], // in eax, dx
  ...[0x66, 0x85, 0xc0], // test eax, eax
  jz('nothing to release'),
  ...dx(PCI_EJECT),
  ...[0x66, 0xef], // out dx, eax
  { label: 'nothing to release' },
];

const watchPowerButton: Code[] = [
  ...dx(PM_STATUS),
  0xed, // in ax, dx
  ...[0xf6, 0xc4, 0x01], // test ah, 1
  jnz('power off'),
];

const wait = ({
  powerButton = 'obeys',
  devices = 'releases',
  answers = 'nothing',
  writes,
}: BootSector): Code[] => [
  { label: 'wait' },
  ...[0xfb, 0xf4], // sti; hlt: sleep until the next tick of the BIOS clock
  ...(devices === 'releases' ? releaseDevices : []),
  ...(powerButton === 'obeys' ? watchPowerButton : []),
  ...dx(COM1_STATUS),
  0xec, // in al, dx
  ...[0xa8, 0x01], // test al, 1
  jz('wait'),
  ...(answers === 'letters' ? answerLetters(writes === 'sectors') : []),
];

const BUFFER_AT = 0x8000;

const writeSector: Code[] = [
  ...[0x1e, 0x07], // push ds; pop es
  ...[0xbf, ...word(BUFFER_AT)], // mov di, BUFFER_AT
  ...[0xb9, ...word(SECTOR_BYTES)], // mov cx, SECTOR_BYTES
  ...[0x88, 0xd8], // mov al, bl
  ...[0xf3, 0xaa], // rep stosb
  0x53, // push bx
  ...[0x88, 0xd9], // mov cl, bl
  ...[0x80, 0xe9, 0x3f], // sub cl, 'A' - 2: sectors count from 1, and the first is this one
  ...[0xbb, ...word(BUFFER_AT)], // mov bx, BUFFER_AT
  ...[0xba, ...word(0x80)], // mov dx, the first disk
  ...[0xb8, ...word(0x0301)], // mov ax, write one sector
  ...[0xcd, 0x13], // int 13h
  0x5b, // pop bx
];

/** How far it has counted is in `bl`, so that its answers tell a guest that went on from one that began anew. */
const answerLetters = (isWritten: boolean): Code[] => [
  ...dx(COM1_DATA),
  0xec, // in al, dx
  ...[0x3c, 0x71], // cmp al, 'q'
  jz('end'),
  ...(isWritten ? writeSector : []),
  ...dx(COM1_DATA),
  ...[0x88, 0xd8], // mov al, bl
  0xee, // out dx, al
  ...[0xfe, 0xc3], // inc bl
  jmp('wait'),
  { label: 'end' },
];

const ends: Readonly<Record<BootSector['ending'], Code[]>> = {
  poweroff: [jmp('power off')],
  reboot: [
    ...[0xb0, 0xfe], // mov al, 0xfe
    ...[0xe6, 0x64], // out 0x64, al: the keyboard controller pulls the reset line
    jmp('halt'),
  ],
  halt: [jmp('halt')],
};

const lastWords: Code[] = [
  { label: 'power off' },
  ...dx(PM_CONTROL),
  ...[0xb8, ...word(0x2000)], // mov ax, 1 << 13
  0xef, // out dx, ax
  { label: 'halt' },
  ...[0xfa, 0xf4], // cli; hlt
  jmp('halt'),
];

/** A raw disk image that boots into the guest described. */
export const bootSector = (guest: BootSector): Uint8Array => {
  if (guest.line.length > LINE_MAX) throw new RangeError(`a line of up to ${LINE_MAX} characters fits`);
  const waiting = guest.waitForKey === 'serial' ? wait(guest) : [];
  const program = (textAt: number): Code[] => [
    ...setUp,
    ...print(textAt),
    ...waiting,
    ...ends[guest.ending],
    ...lastWords,
  ];
  const length = assemble(program(0)).length;
  const text = Buffer.from(`${guest.line}\r\n\0`, 'latin1');
  const image = Buffer.alloc(DISK_BYTES);
  image.set([...assemble(program(LOADED_AT + length)), ...text]);
  if (length + text.length > SECTOR_BYTES - 2) throw new RangeError('the guest does not fit into one sector');
  image.set([0x55, 0xaa], SECTOR_BYTES - 2); // what makes a sector bootable
  return image;
};

/** Puts the distances into the jumps. */
const assemble = (program: readonly Code[]): number[] => {
  const places = new Map<string, number>();
  let at = 0;
  for (const code of program) {
    if (typeof code === 'number') at += 1;
    else if ('jump' in code) at += code.jump.length + 1;
    else if ('label' in code) places.set(code.label, at);
  }
  const bytes: number[] = [];
  for (const code of program) {
    if (typeof code === 'number') bytes.push(code);
    else if ('jump' in code) {
      const distance = (places.get(code.to) as number) - (bytes.length + code.jump.length + 1);
      if (distance < -128 || distance > 127) throw new RangeError(`'${code.to}' is too far for a short jump`);
      bytes.push(...code.jump, distance & 0xff);
    }
  }
  return bytes;
};

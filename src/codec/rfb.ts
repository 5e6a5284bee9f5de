// What a client of RFB (VNC) says to look at a screen: the oldest form, which every server speaks.

/** The version, as either side begins with it. */
export const rfbVersion = Buffer.from('RFB 003.003\n');
/** The security type that asks for nothing. */
export const RFB_OPEN = 1;
/** A client that lets others stay. */
export const rfbShared = Buffer.from([1]);

/** What a server tells of its screen before the name of it. */
export const RFB_SCREEN_BYTES = 24;
export interface RfbScreen {
  readonly width: number;
  readonly height: number;
  readonly nameBytes: number;
}
export const rfbScreen = (bytes: Buffer): RfbScreen => ({
  width: bytes.readUInt16BE(0),
  height: bytes.readUInt16BE(2),
  nameBytes: bytes.readUInt32BE(20),
});

export const RFB_POINT_BYTES = 4;

/** Asks for points of four bytes, red first, and for nothing but points. */
export const rfbFormat = (): Buffer => {
  const format = Buffer.alloc(20);
  format.set([32, 24, 0, 1], 4);
  for (const at of [8, 10, 12]) format.writeUInt16BE(255, at);
  format.set([0, 8, 16], 14);
  const encodings = Buffer.alloc(8);
  encodings.set([2], 0);
  encodings.writeUInt16BE(1, 2);
  return Buffer.concat([format, encodings]);
};

export interface RfbArea {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Asks for all points of an area, whether they have changed or not. */
export const rfbWanted = ({ x, y, width, height }: RfbArea): Buffer => {
  const wanted = Buffer.alloc(10);
  wanted.set([3, 0], 0);
  for (const [at, value] of [x, y, width, height].entries()) wanted.writeUInt16BE(value, 2 + 2 * at);
  return wanted;
};

/** What begins what a server says. */
export const rfbSaid = { points: 0, colours: 1, bell: 2, text: 3 } as const;

export const RFB_AREA_BYTES = 12;
/** `encoding` is 0 for points as they were asked for. */
export const rfbArea = (bytes: Buffer): RfbArea & { readonly encoding: number } => ({
  x: bytes.readUInt16BE(0),
  y: bytes.readUInt16BE(2),
  width: bytes.readUInt16BE(4),
  height: bytes.readUInt16BE(6),
  encoding: bytes.readInt32BE(8),
});

/** All of what comes in pieces, at most so many bytes. Givers may use the memory of a piece again. */
export const wholeOf = async (
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
  tooLarge: () => Error,
): Promise<Buffer> => {
  const kept: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > bytesMax) throw tooLarge();
    kept.push(Uint8Array.from(piece));
  }
  return Buffer.concat(kept);
};

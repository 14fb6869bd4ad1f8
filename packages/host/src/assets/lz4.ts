/**
 * LZ4 in the legacy frame that Linux uses for compressed kernels: a magic number, then blocks of at most 8 MiB, each
 * with its compressed size before it. https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export const lz4LegacyMagic = 0x184c2102;
const blockBytes = 8 * 1024 * 1024;

export function decompressLz4Legacy(input: Buffer): Buffer {
  const blocks: Buffer[] = [];
  let at = 4;
  while (at + 4 <= input.length) {
    const size = input.readUInt32LE(at);
    at += 4;
    if (size === lz4LegacyMagic) continue; // frames may follow one another
    if (size === 0 || at + size > input.length) break; // the kernel's payload has its plain size after the last block
    blocks.push(decompressBlock(input.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(blocks);
}

/** https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function decompressBlock(input: Buffer): Buffer {
  const output = Buffer.allocUnsafe(blockBytes);
  let from = 0;
  let to = 0;
  const byte = (): number => {
    if (from >= input.length) throw new Error("an LZ4 block ends too early");
    return input[from++] as number;
  };
  const length = (nibble: number): number => {
    let sum = nibble;
    if (nibble === 15) {
      let more: number;
      do sum += more = byte();
      while (more === 255);
    }
    return sum;
  };
  while (from < input.length) {
    const token = byte();
    const literals = length(token >> 4);
    if (from + literals > input.length || to + literals > blockBytes)
      throw new Error("an LZ4 block has literals beyond its end");
    input.copy(output, to, from, from + literals);
    from += literals;
    to += literals;
    if (from === input.length) break; // the last sequence has literals only
    const distance = byte() | (byte() << 8);
    const match = length(token & 15) + 4;
    if (distance === 0 || distance > to || to + match > blockBytes)
      throw new Error("an LZ4 block refers outside itself");
    if (distance >= match) output.copyWithin(to, to - distance, to - distance + match);
    else for (let index = 0; index < match; index += 1) output[to + index] = output[to + index - distance] as number;
    to += match;
  }
  return output.subarray(0, to);
}

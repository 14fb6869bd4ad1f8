/** Text in UTF-8 that was cut at any byte. */

/** bytes of a character after its first at most */
const mostFollowing = 3;

/** How many of the bytes are whole characters, where the end may be cut within one. What is no UTF-8 counts as whole. */
export function wholeBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(mostFollowing, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isFollowing(byte)) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** How many bytes at the beginning belong to a character that began before them. */
export function followingBytes(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => !isFollowing(byte));
  return first > 0 && first <= mostFollowing ? first : 0;
}

function isFollowing(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

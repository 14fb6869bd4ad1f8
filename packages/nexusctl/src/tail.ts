const newline = 0x0a;

/** Where the last `lines` lines begin; null is all of them. */
export function tailStart(bytes: Uint8Array, lines: number | null): number {
  if (lines === null) return 0;
  if (lines === 0) return bytes.length;
  // the newline at the very end closes the last line
  let at = bytes.at(-1) === newline ? bytes.length - 1 : bytes.length;
  for (let left = lines; left > 0; left -= 1) {
    at = at === 0 ? -1 : bytes.lastIndexOf(newline, at - 1);
    if (at === -1) return 0;
  }
  return at + 1;
}

/** The link-local address that an interface gives itself by its MAC (RFC 4291, appendix A). */
export function linkLocalOf(macAddress: string): string {
  const bytes = macAddress.split(":").map((byte) => Number.parseInt(byte, 16));
  const [first = 0, ...rest] = bytes;
  const eui = [first ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  const groups = [0, 2, 4, 6].map((index) => (((eui[index] ?? 0) << 8) | (eui[index + 1] ?? 0)).toString(16));
  return `fe80::${groups.join(":")}`;
}

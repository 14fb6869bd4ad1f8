/**
 * Names of DNS as text: labels between dots, no dot at the end, `` for the root. Bytes that are no plain character are
 * written `\DDD`, so that text and bytes always stand for each other.
 */
const maxBytes = 255; // RFC 1035 2.3.4
const maxJumps = 64;

/** A message that is none. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
}

/** Reads the name at `at`, compressed or not; `end` is where what follows it begins. */
export function readName(message: Buffer, at: number): { name: string; end: number } {
  const labels: string[] = [];
  let bytes = 1;
  let end: number | null = null;
  let jumps = 0;
  for (;;) {
    const length = message[at];
    if (length === undefined) throw new DnsFormatError("a name is cut off");
    if (length >= 0xc0) {
      const low = message[at + 1];
      if (low === undefined) throw new DnsFormatError("a name is cut off");
      const target = ((length & 0x3f) << 8) | low;
      // pointers that only lead back end, but may be many
      if (target >= at || (jumps += 1) > maxJumps) throw new DnsFormatError("a name leads round in circles");
      end ??= at + 2;
      at = target;
    } else if (length > 63) throw new DnsFormatError("a label of an unknown kind");
    else if (length === 0) return { name: labels.join("."), end: end ?? at + 1 };
    else {
      if (at + 1 + length > message.length) throw new DnsFormatError("a name is cut off");
      if ((bytes += length + 1) > maxBytes) throw new DnsFormatError("a name is too long");
      labels.push(escapeLabel(message.subarray(at + 1, at + 1 + length)));
      at += 1 + length;
    }
  }
}

/** The name in the format of messages, not compressed. */
export function nameBytes(name: string): Buffer {
  const parts: Buffer[] = [];
  for (const label of name === "" ? [] : name.split(".")) {
    const bytes = unescapeLabel(label);
    if (bytes.length === 0 || bytes.length > 63) throw new DnsFormatError(`no name: ${name}`);
    parts.push(Buffer.from([bytes.length]), bytes);
  }
  const whole = Buffer.concat([...parts, Buffer.from([0])]);
  if (whole.length > maxBytes) throw new DnsFormatError("a name is too long");
  return whole;
}

function escapeLabel(label: Buffer): string {
  let text = "";
  for (const byte of label) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

function unescapeLabel(label: string): Buffer {
  return Buffer.from(
    label.replaceAll(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number(digits))),
    "latin1",
  );
}

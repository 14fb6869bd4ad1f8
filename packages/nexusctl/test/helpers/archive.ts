/** an entry as a hostile guest may send it */
export interface Entry {
  name: string;
  kind?: "0" | "1" | "2" | "3" | "4" | "5" | "6" | "g" | "x";
  target?: string;
  content?: string;
  mode?: number;
  /** said instead of the content's own */
  size?: number;
}

const blockBytes = 512;

/** A tar of exactly these entries. */
export function archive(...entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocks), Buffer.alloc(2 * blockBytes)]);
}

function blocks({ name, kind = "0", target = "", content = "", mode = 0o644, size }: Entry): Buffer[] {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(blockBytes);
  header.write(name, 0, 100);
  header.write(`${mode.toString(8).padStart(7, "0")}\0`, 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${(size ?? bytes.length).toString(8).padStart(11, "0")}\0`, 124);
  header.write("07346545000\0", 136); // 1000000000 - a round number of seconds
  header.write("        ", 148);
  header.write(kind, 156);
  header.write(target, 157, 100);
  header.write("ustar  \0", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes);
  return [header, bytes, padding];
}

/** A record of an extended header. */
export function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return `${length}${rest}`;
}

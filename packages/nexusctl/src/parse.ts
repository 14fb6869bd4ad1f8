/** Values of flags; what a parser throws is shown behind the flag's name. */

/** MiB from `512`, `512M`, `512MiB`, `2G`, `1.5GiB` */
export function parseMemory(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(m|mb|mib|g|gb|gib)?$/i.exec(text);
  const amount = Number(match?.[1]) * (match?.[2]?.toLowerCase().startsWith("g") ? 1024 : 1);
  if (match === null || !Number.isInteger(amount))
    throw new SyntaxError(`takes MiB or a size such as 512M or 2G, not "${text}"`);
  return amount;
}

/** bytes from `20G`, `512M`, `1T`; a bare number is bytes */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt])?(?:i?b)?$/i.exec(text);
  const power = ["k", "m", "g", "t"].indexOf(match?.[2]?.toLowerCase() ?? "") + 1;
  if (match === null) throw new SyntaxError(`takes a size such as 512M or 20G, not "${text}"`);
  return Math.round(Number(match[1]) * 1024 ** power);
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** ms from `30s`, `500ms`, `5m`, `1h`; a bare number is seconds */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const ms = Math.round(Number(match?.[1]) * (unitMs[match?.[2] ?? "s"] ?? 1));
  if (match === null) throw new SyntaxError(`takes a time such as 30s, 5m or 500ms, not "${text}"`);
  return ms;
}

export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new SyntaxError(`takes a whole number, not "${text}"`);
  return Number(text);
}

/** lines, or null for `all` */
export function parseTail(text: string): number | null {
  if (text === "all") return null;
  if (!/^\d{1,9}$/.test(text)) throw new SyntaxError(`takes a number of lines or "all", not "${text}"`);
  return Number(text);
}

/** `KEY=VALUE` */
export function parseVariable(text: string): [key: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new SyntaxError(`takes KEY=VALUE, not "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}

export function text(input: string): string {
  return input;
}

/** a place in an output */
export function parseOffset(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new SyntaxError(`takes a whole number of bytes, not "${text}"`);
  return Number(text);
}

/** `TERM`, `SIGTERM`, `term` or `15` */
export function parseSignal(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text.toUpperCase().replace(/^SIG/, "");
}

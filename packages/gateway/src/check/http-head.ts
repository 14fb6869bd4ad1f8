/** Heads of HTTP/1 messages: what is common to requests and answers. */

export const maxHeadBytes = 64 * 1024;
const maxFields = 256;

/** how the end of a body is found */
export type BodyFraming =
  | { kind: "none" }
  | { kind: "length"; bytes: number }
  | { kind: "chunked" }
  | { kind: "close" };

/** header fields in order, names in lower case */
export type Fields = readonly (readonly [name: string, value: string])[];

/** A request that is not passed on; `status` is what the guest gets. */
export class HttpRefusal extends Error {
  override readonly name = "HttpRefusal";
  readonly status: number;
  /** the host it was for, where that is known */
  readonly host: string | null;

  constructor(status: number, message: string, host: string | null = null) {
    super(message);
    this.status = status;
    this.host = host;
  }
}

export const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Reads the lines behind the first, strictly: one line a field, no folding, no control characters. */
export function parseFields(lines: readonly string[]): Fields {
  if (lines.length > maxFields) throw new HttpRefusal(431, "it has too many header fields");
  return lines.map((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (colon < 1 || !tokenPattern.test(name)) throw new HttpRefusal(400, "a line of its head is no header field");
    const value = line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, "");
    // eslint-disable-next-line no-control-regex -- that is what is looked for
    if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) throw new HttpRefusal(400, "a header field has control characters");
    return [name.toLowerCase(), value];
  });
}

export function valuesOf(fields: Fields, name: string): string[] {
  return fields.flatMap(([own, value]) => (own === name ? [value] : []));
}

/** The words of a list that may be spread over several fields, in lower case. */
export function listOf(fields: Fields, name: string): string[] {
  return valuesOf(fields, name)
    .flatMap((value) => value.toLowerCase().split(","))
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

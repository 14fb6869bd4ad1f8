import { isIPv4 } from "node:net";
import { JsonError, JsonReader } from "./json-reader.ts";
import { Malformed } from "./refusal.ts";

/** What a body may be: each shape reads one value or refuses it in serde's words. */
export type Shape<T> = (reader: JsonReader) => T;

/** Reads a whole body. */
export function readBody<T>(body: Buffer, shape: Shape<T>): T {
  try {
    return readJson(body, shape);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw refusedJson(error);
  }
}

export function readJson<T>(text: Buffer, shape: Shape<T>): T {
  const reader = new JsonReader(text);
  const value = shape(reader);
  reader.end();
  return value;
}

export function refusedJson(error: JsonError): Malformed {
  const { line, column, message } = error;
  return new Malformed(
    `An error occurred when deserializing the json body of a request: ${error.words}.`,
    `SerdeJson(Error(${JSON.stringify(message)}, line: ${line}, column: ${column}))`,
  );
}

/** A field that may be left out has what stands for it then. */
interface Field<T> {
  shape: Shape<T>;
  absent?: () => T;
}

export const required = <T>(shape: Shape<T>): Field<T> => ({ shape });
export const defaulting = <T>(shape: Shape<T>, value: T): Field<T> => ({ shape, absent: () => value });
/** null where it is left out or null */
export const optional = <T>(shape: Shape<T>): Field<T | null> => ({
  shape: (reader) => (reader.peek() === "n" ? (reader.word("null"), null) : shape(reader)),
  absent: () => null,
});

type Fields<T> = { [K in keyof T]: Field<T[K]> };

/** An object with these fields, which are named in this order; `open` to fields it does not know. */
export function struct<T extends object>(name: string, fields: Fields<T>, open = false): Shape<T> {
  const known = Object.entries<Field<unknown>>(fields);
  return (reader) => {
    if (reader.peek() !== "{") throw wrongType(reader, `struct ${name}`);
    const found: Record<string, unknown> = {};
    const refuse = (message: string): never => {
      reader.endObject();
      throw reader.fault(message);
    };
    for (const key of reader.keys()) {
      const field = (fields as Record<string, Field<unknown>>)[key];
      if (field === undefined && !open) refuse(`unknown field \`${key}\`, expected ${oneOf(Object.keys(fields))}`);
      if (key in found) refuse(`duplicate field \`${key}\``);
      reader.colon();
      const value = readOr(field?.shape ?? anything, reader, refuse);
      if (field !== undefined) found[key] = value;
    }
    const ordered: Record<string, unknown> = {};
    for (const [key, { absent }] of known)
      if (key in found) ordered[key] = found[key];
      else ordered[key] = absent === undefined ? refuse(`missing field \`${key}\``) : absent();
    reader.endObject();
    return ordered as T;
  };
}

export function integer(kind: "u8" | "u16" | "u32" | "u64" | "usize"): Shape<number> {
  const max = 2 ** (kind === "usize" ? 64 : Number(kind.slice(1))) - 1;
  return (reader) => {
    if (!/[-\d]/.test(reader.peek() ?? "")) throw wrongType(reader, kind);
    const { value, isInteger } = reader.number();
    if (!isInteger) throw reader.fault(`invalid type: floating point \`${inWords(value)}\`, expected ${kind}`);
    if (value < 0 || value > max) throw reader.fault(`invalid value: integer \`${value}\`, expected ${kind}`);
    return value;
  };
}

export const bool: Shape<boolean> = (reader) => {
  const first = reader.peek();
  if (first !== "t" && first !== "f") throw wrongType(reader, "a boolean");
  reader.word(first === "t" ? "true" : "false");
  return first === "t";
};

export const text: Shape<string> = (reader) => {
  if (reader.peek() !== '"') throw wrongType(reader, "a string");
  return reader.string();
};

/** One of these words. */
export function variant<T extends string>(...words: readonly T[]): Shape<T> {
  return (reader) => {
    if (reader.peek() !== '"') throw reader.faultAhead("expected value");
    const word = reader.string();
    if (!(words as readonly string[]).includes(word))
      throw reader.fault(`unknown variant \`${word}\`, expected ${oneOf(words)}`);
    return word as T;
  };
}

/** A value that was read well and does not fit; it is found out only at the end of the object around it. */
class Misfit extends Error {}

function readOr(shape: Shape<unknown>, reader: JsonReader, refuse: (message: string) => never): unknown {
  try {
    return shape(reader);
  } catch (error) {
    if (error instanceof Misfit) refuse(error.message);
    throw error;
  }
}

export const macAddress: Shape<string> = (reader) => {
  const value = text(reader);
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value)) throw new Misfit("The provided MAC address is invalid.");
  return value.toLowerCase();
};

export const logLevel: Shape<string> = (reader) => {
  const value = text(reader);
  if (!isLogLevel(value)) throw new Misfit("Invalid LevelFilter");
  return value;
};

export const isLogLevel = (value: string): boolean => /^(off|error|warn|warning|info|debug|trace)$/i.test(value);

export const ipv4Address: Shape<string> = (reader) => {
  const value = text(reader);
  if (!isIPv4(value)) throw reader.fault("invalid IPv4 address syntax");
  return value;
};

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (reader) => {
    if (reader.peek() !== "[") throw wrongType(reader, "a sequence");
    const found: T[] = [];
    reader.elements(() => found.push(shape(reader)));
    return found;
  };
}

/** Any JSON value. */
export const anything: Shape<unknown> = (reader) => {
  const first = reader.peek();
  switch (first) {
    case null:
      throw reader.faultAhead("EOF while parsing a value");
    case "{": {
      const found: Record<string, unknown> = {};
      for (const key of reader.keys()) {
        reader.colon();
        found[key] = anything(reader);
      }
      reader.endObject();
      return found;
    }
    case "[":
      return list(anything)(reader);
    case '"':
      return reader.string();
    case "t":
    case "f":
      return bool(reader);
    case "n":
      reader.word("null");
      return null;
    default:
      if (!/[-\d]/.test(first)) throw reader.faultAhead("expected value");
      return reader.number().value;
  }
};

/** Reads a value that is not what was expected, and says so; lists and objects are refused at their first byte. */
function wrongType(reader: JsonReader, expected: string): JsonError {
  const first = reader.peek();
  if (first === "{") return reader.fault(`invalid type: map, expected ${expected}`);
  if (first === "[") return reader.fault(`invalid type: sequence, expected ${expected}`);
  const value = anything(reader);
  const what =
    value === null
      ? "null"
      : typeof value === "string"
        ? `string ${JSON.stringify(value)}`
        : typeof value === "boolean"
          ? `boolean \`${value}\``
          : Number.isInteger(value) && Number(value) < 2 ** 64
            ? `integer \`${Number(value)}\``
            : `floating point \`${inWords(Number(value))}\``;
  return reader.fault(`invalid type: ${what}, expected ${expected}`);
}

/** a floating point number has a point */
function inWords(value: number): string {
  const words = String(value);
  return /^-?\d+$/.test(words) ? `${words}.0` : words;
}

function oneOf(names: readonly string[]): string {
  const quoted = names.map((name) => `\`${name}\``);
  if (quoted.length <= 2) return quoted.join(" or ");
  return `one of ${quoted.join(", ")}`;
}

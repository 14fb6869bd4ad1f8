import * as z from "zod";

/**
 * The kinds of fields that requests and the configuration are made of. A field that is refused says what is allowed,
 * in plain words and with the unit; one that is not there says so first.
 */

/** what is said of a field, whatever is wrong with it */
export function says(allowed: string): { error: (issue: { input?: unknown }) => string } {
  return { error: ({ input }) => (input === undefined ? `is missing; ${allowed}` : allowed) };
}

/** whole number within bounds, both included */
export function wholeNumber(min: number, max: number, unit?: string) {
  const allowed = says(`must be a whole number ${unit === undefined ? "" : `of ${unit} `}from ${min} to ${max}`);
  // the first check that fails ends it, so that nothing is said twice
  return z
    .number(allowed)
    .min(min, { ...allowed, abort: true })
    .max(max, { ...allowed, abort: true })
    .int(allowed);
}

export function matching(pattern: RegExp, allowed: string) {
  return z.string(says(allowed)).regex(pattern, allowed);
}

export function hostPath() {
  const allowed = says("must be an absolute path on the daemon's machine, of at most 4096 characters");
  return z
    .string(allowed)
    .max(4096, { ...allowed, abort: true })
    .refine((path) => path.startsWith("/") && !path.includes("\0"), allowed);
}

/** path in a guest: absolute, or below the user's home */
export function guestPath() {
  const allowed = says("must be an absolute path in the guest, or one that begins with ~/, of at most 4096 characters");
  return z
    .string(allowed)
    .max(4096, { ...allowed, abort: true })
    .refine((path) => /^(\/|~(\/|$))/.test(path) && !path.includes("\0"), allowed)
    .describe("absolute, or from the user's home with ~/");
}

/** query parameter that is true or false */
export function flag(description: string) {
  return oneOf(["true", "false"])
    .default("false")
    .transform((text) => text === "true")
    .describe(description);
}

/** query parameter that counts bytes, 0 if absent */
export function offset(description: string) {
  return matching(/^\d{1,15}$/, "must be a whole number of bytes, of at most 15 digits")
    .default("0")
    .transform(Number)
    .describe(description);
}

export function trueOrFalse() {
  return z.boolean(says("must be true or false"));
}

export function oneOf<const Values extends readonly string[]>(values: Values) {
  return z.enum(values, says(`must be ${values.join(", ").replace(/, ([^,]*)$/, " or $1")}`));
}

/** object without any other fields */
export function exactly<const Shape extends z.ZodRawShape>(shape: Shape, what = "an object") {
  return z.strictObject(shape, says(`must be ${what}`));
}

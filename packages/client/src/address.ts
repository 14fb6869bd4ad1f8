import { WorkfortError } from "@workfort/contract/errors";

type Values = Readonly<Record<string, string | undefined>>;

/** A path with its parameters and query filled in. */
export function fillPath(template: string, params: Values = {}, query: Values = {}): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name] ?? "";
    // an empty segment would be another path, and so another operation
    if (value === "") throw new WorkfortError("invalid_request", `path.${name}: a name or id is needed, not ""`);
    return encodeURIComponent(value);
  });
  const pairs = Object.entries(query)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}

/** most characters of a VMM's own words in one error */
const keptCharacters = 500;

/**
 * What a VMM says, fit for an error that reaches terminals and records: one line, bounded, without control characters.
 * A guest may have had a hand in it.
 */
export function plainWords(text: string): string {
  const line = text
    .slice(0, keptCharacters * 4)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  return line.length > keptCharacters ? `${line.slice(0, keptCharacters).toWellFormed()}…` : line;
}

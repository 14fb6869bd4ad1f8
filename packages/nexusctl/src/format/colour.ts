/** SGR codes: on, off */
const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export type Style = keyof typeof styles;
export type Paint = (style: Style, text: string) => string;

/** Colour is for terminals, and not where https://no-color.org is asked for. */
export function wantsColour(isTty: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return isTty && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

export function painter(on: boolean): Paint {
  return (style, text) => {
    if (!on || text === "") return text;
    const [open, close] = styles[style];
    return `\x1b[${open}m${text}\x1b[${close}m`;
  };
}

/** Text of others without its control characters, which could move the cursor or lie about what was printed. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) =>
    character === "\n" || character === "\t" ? " " : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

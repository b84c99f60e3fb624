/** Control and format characters, private ones, line separators: what would steer a terminal or hide text. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u;
const ALL_HIDDEN = new RegExp(HIDDEN, 'gu');

/** A text on one line in which everything can be seen: what hides is written as `\u{202e}`. */
export function visible(text: string): string {
  return text.replaceAll(ALL_HIDDEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

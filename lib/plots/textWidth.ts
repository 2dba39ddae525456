// Advance widths of Helvetica (and Arial) in thousandths of the font size, for U+0020 to U+007E.
const WIDTHS = [
  278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
  556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
  722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
  556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
  260, 334, 584,
]
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u

/** Whether `character` is as wide as two letters of a fixed-width font: East Asian wide characters and emoji. */
export function isWide(character: string): boolean {
  return WIDE.test(character)
}

/** Width of `text` in Helvetica of `size` px, near enough to lay out a figure where no browser can measure it. */
export function textWidth(text: string, size: number): number {
  let width = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    width +=
      WIDTHS[code - 32] ??
      (code < 32 ? 0 : isWide(character) ? 1000 : code === 0xb7 ? 333 : code === 0x2026 ? 1000 : 584)
  }
  return (width / 1000) * size
}

/**
 * First token of each sentence of a text given as its decoded tokens. A sentence ends with a token after which the text
 * stands at `.`, `?` or `!` (closing quotes and brackets may follow) while the next token begins with white space or a new
 * line, or with a token that contains a line break. A decimal point ends nothing, and tokens of white space
 * alone stay with the sentence before them.
 */
export function sentenceStarts(tokens: readonly string[]): number[] {
  const starts: number[] = []
  let text = ''
  tokens.forEach((token, i) => {
    if (i === 0 || (/\S/.test(text) && /\S/.test(token) && endsSentence(text, token))) {
      starts.push(i)
      text = ''
    }
    text += token
  })
  return starts
}

function endsSentence(text: string, next: string): boolean {
  return /\n\s*$/.test(text) || (/[.?!]["')\]»”’]*\s*$/.test(text) && (/^\s/.test(next) || /\s$/.test(text)))
}

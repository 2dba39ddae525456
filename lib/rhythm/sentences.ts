/**
 * First token of each sentence of a text given as its decoded tokens. A sentence ends with a token after which the text
 * stands at `.`, `?` or `!` (closing quotes and brackets may follow) while the next token begins with white space or a new
 * line, or with a token that contains a line break. Decimal points and white space alone end nothing.
 */
export function sentenceStarts(tokens: readonly string[]): number[] {
  const starts: number[] = []
  let text = ''
  tokens.forEach((token, i) => {
    if (i === 0 || (/\S/.test(text) && endsSentence(text, token))) {
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

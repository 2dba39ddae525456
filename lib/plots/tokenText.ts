/** A token's text on one line: spaces as ·, line breaks as ↵, tabs as →, cut at `most` characters. */
export function visibleToken(token: string, most = 18): string {
  const visible = token
    .replace(/ /g, '·')
    .replace(/\r?\n/g, '↵')
    .replace(/\t/g, '→')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a figure
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, '�')
  const characters = Array.from(visible)
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : visible
}

/** `text` with the characters that HTML, SVG and Plotly's text markup treat specially written as entities. */
export function escapeMarkup(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
}

/** One axis label a token, unique by its position: `57 ·harbour`. `first` is the position of `tokens[0]`. */
export function tokenLabels(tokens: readonly string[], first = 0): string[] {
  return tokens.map((token, i) => `${first + i} ${escapeMarkup(visibleToken(token))}`)
}

import { escapeMarkup } from '../plots/tokenText'
import { tslabHost } from './tslabHost'

/** One more piece of text, of the sequence with this number in its batch; fits what `generate` hands to `onToken`. */
export interface StreamedToken {
  sequence: number
  text: string
}

export interface TextStream {
  /** Fits the `onToken` option of `generate`. */
  readonly onToken: (token: StreamedToken) => void
  /** Shows what is left, and returns the texts by sequence. */
  finish(): string[]
}

const REDRAW_MS = 150

function html(texts: string[]): string {
  const block = (text: string) =>
    `<div class="mathjax_ignore" style="white-space: pre-wrap; max-width: 80ch">${escapeMarkup(text)}</div>`
  if (texts.length === 1) return block(texts[0]!)
  return `<ol start="0">${texts.map((text) => `<li>${block(text)}</li>`).join('')}</ol>`
}

const plain = (texts: string[]) =>
  texts.length === 1 ? texts[0]! : texts.map((text, sequence) => `[${sequence}] ${text}`).join('\n')

/**
 * Shows text while a model writes it: `generate(model, prompt, { onToken: streamText().onToken })`. In a notebook it grows
 * in place, each sequence of a batch in a paragraph of its own; elsewhere the first sequence goes to standard output as
 * it comes, and the others follow at the end.
 */
export function streamText(): TextStream {
  const texts: string[] = []
  const display = tslabHost()?.newDisplay()
  let timer: NodeJS.Timeout | null = null
  let drawn = Number.NEGATIVE_INFINITY
  const draw = () => {
    if (timer) clearTimeout(timer)
    timer = null
    drawn = performance.now()
    display?.bundle({ 'text/plain': plain(texts), 'text/html': html(texts) })
  }
  return {
    onToken({ sequence, text }) {
      while (texts.length <= sequence) texts.push('')
      texts[sequence] += text
      if (!display) {
        if (sequence === 0) process.stdout.write(text)
      } else if (performance.now() - drawn >= REDRAW_MS) draw()
      else timer ??= setTimeout(draw, REDRAW_MS)
    },
    finish() {
      if (display) draw()
      else {
        process.stdout.write('\n')
        for (const [sequence, text] of texts.entries())
          if (sequence > 0) process.stdout.write(`[${sequence}] ${text}\n`)
      }
      return [...texts]
    },
  }
}

export interface FinalAnswerOptions {
  /** Where nothing is marked as the answer, take the last number of the response. Default false. */
  lenient?: boolean
}

/**
 * The final answer that a response marks: the content of its last complete `\boxed{…}` (or `\fbox`), else what stands after
 * its last `####` (GSM8K) on that line. Null if it marks none, or an empty one. Linear in the length of the response.
 */
export function finalAnswer(response: string, { lenient = false }: FinalAnswerOptions = {}): string | null {
  const marked = lastBoxed(response) ?? lastHashed(response) ?? (lenient ? lastNumber(response) : null)
  return marked?.trim() || null
}

/** The content of the last complete box, the outer one if boxes are nested. */
function lastBoxed(response: string): string | null {
  const open: { start: number; box: boolean }[] = []
  let found: string | null = null
  let boxAt = -1
  for (const { 0: token, index } of response.matchAll(/\\(?:boxed|fbox)(?![a-zA-Z])\s{0,9}|\\[\s\S]|[{}]/g)) {
    const end = index + token.length
    if (token.startsWith('\\boxed') || token.startsWith('\\fbox')) {
      boxAt = end
      const single = /[0-9]/.exec(response[end] ?? '')
      if (single) found = single[0]
    } else if (token === '{') open.push({ start: end, box: boxAt === index })
    else if (token === '}') {
      const group = open.pop()
      if (group?.box) found = response.slice(group.start, index)
    }
  }
  return found
}

function lastHashed(response: string): string | null {
  const at = response.lastIndexOf('####')
  return at < 0 ? null : (response.slice(at + 4).split('\n', 1)[0] as string)
}

const NUMBER = /\\[dt]?frac\{\d{1,40}\}\{\d{1,40}\}|\d{1,40}(?:,\d{3}){0,12}(?:\.\d{1,40})?(?:\/\d{1,40})?(?: ?\\?%)?/g

/** The last number of the last 2,000 characters, with its sign if it cannot be a minus between two numbers. */
function lastNumber(response: string): string | null {
  const end = response.slice(-2000)
  const last = [...end.matchAll(NUMBER)].at(-1)
  if (!last) return null
  const before = end.slice(0, last.index)
  return /(?:^|[^\w).\s])\s*[-\u2212]\s?[$€£]?$|(?:^|[a-z:]\s)[-\u2212]\s?[$€£]?$|\n\s*[-\u2212][$€£]?$/i.test(
    before.slice(-9),
  )
    ? `-${last[0]}`
    : last[0]
}

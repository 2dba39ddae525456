/** The text of the last complete `<tag>…</tag>` of a response, shortest if tags are nested; null if there is none. Linear in its length. */
export function lastTagged(response: string, tag: string): string | null {
  const end = response.lastIndexOf(`</${tag}>`)
  if (end < 0) return null
  const start = response.lastIndexOf(`<${tag}>`, end)
  return start < 0 ? null : response.slice(start + tag.length + 2, end)
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Figure } from './figure'
import { escapeMarkup } from './tokenText'

/**
 * Writes a figure as a live HTML page. Plotly lies beside it as `plotly.js`, once for all figures of the folder, so that
 * the page needs no network. Returns the path.
 */
export async function saveHtml(figure: Figure, path: string): Promise<string> {
  const folder = dirname(path)
  const script = join(folder, 'plotly.js')
  mkdirSync(folder, { recursive: true })
  writeFileSync(script, readFileSync(require.resolve('plotly.js-dist')))
  const layout = { ...figure.layout, paper_bgcolor: '#ffffff', plot_bgcolor: '#ffffff' }
  // Text that closes the script would end it.
  const data = JSON.stringify({ data: figure.data, layout, config: figure.config ?? {} }).replace(/</g, '\\u003c')
  const title = (figure.layout.title as { text?: string } | undefined)?.text ?? ''
  const page = [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><title>${escapeMarkup(title.replace(/<[^>]*>/g, ' '))}</title>`,
    `<script src="${relative(folder, script)}"></script></head>`,
    '<body><div id="figure"></div><script>',
    `const { data, layout, config } = ${data}`,
    "Plotly.newPlot('figure', data, layout, config)",
    '</script></body></html>',
  ]
  writeFileSync(path, `${page.join('\n')}\n`)
  return path
}

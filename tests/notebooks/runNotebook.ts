import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { python, root } from '../kernel/kernelSession'

interface Cell {
  outputs?: { output_type: string; data?: Record<string, unknown>; text?: string | string[] }[]
}

/** Runs a notebook as `npm run reproduce` does, into `output`: how many figures and tables it shows, what it prints, and its tables as text. */
export function runNotebook(name: string, parameters: object, output: string) {
  const script = join(root, 'kernels', 'execute_notebook.py')
  const { status, stdout } = spawnSync(python, [script, join(root, 'notebooks', name), output], {
    encoding: 'utf8',
    env: { ...process.env, RHYTHM_PARAMETERS: JSON.stringify(parameters) },
  })
  assert.equal(status, 0, stdout)
  const { cells } = JSON.parse(readFileSync(join(output, name), 'utf8')) as { cells: Cell[] }
  const outputs = cells.flatMap((cell) => cell.outputs ?? [])
  const figures = outputs.filter(({ data }) => data && 'application/vnd.plotly.v1+json' in data)
  const tables = outputs.filter(({ data }) => String(data?.['text/html'] ?? '').includes('<table'))
  const texts = tables.map(({ data }) => [data!['text/plain'] ?? ''].flat().join(''))
  const titles = figures.map(({ data }) => [data!['text/plain'] ?? ''].flat().join('').replace('figure: ', ''))
  const printed = outputs.map(({ text }) => [text ?? ''].flat().join('')).join('\n')
  return { titles, tables: tables.length, texts, printed }
}

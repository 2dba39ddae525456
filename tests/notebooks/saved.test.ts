import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'

const FOLDER = join(__dirname, '..', '..', 'notebooks')
const notebooks = readdirSync(FOLDER).filter((name) => name.endsWith('.ipynb'))

interface Cell {
  cell_type: string
  execution_count?: number | null
  outputs?: { output_type: string; data?: Record<string, unknown> }[]
}

test('there are notebooks', () => assert.ok(notebooks.length >= 1))

for (const name of notebooks) {
  test(`${name}: saved with outputs that survive without JavaScript, under 1.5 MB, no machine's path, no error`, () => {
    const path = join(FOLDER, name)
    assert.ok(statSync(path).size < 1.5e6)
    const text = readFileSync(path, 'utf8')
    assert.doesNotMatch(text, /"[^"]*\/(root|home|Users|tmp|work)\//)
    const code = (JSON.parse(text).cells as Cell[]).filter((cell) => cell.cell_type === 'code')
    assert.ok(
      code.every((cell) => typeof cell.execution_count === 'number'),
      'every cell was run',
    )
    const outputs = code.flatMap((cell) => cell.outputs ?? [])
    assert.ok(outputs.every((output) => output.output_type !== 'error'))
    const figures = outputs.filter((output) => output.data && 'application/vnd.plotly.v1+json' in output.data)
    assert.ok(figures.length >= 3)
    assert.ok(figures.every((output) => 'image/svg+xml' in output.data!))
  })
}

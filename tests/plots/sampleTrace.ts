import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PlottedMap, PlottedRhythm, PlottedTrace } from '../../lib/plots'

const file = join(__dirname, '..', 'fixtures', 'reference', 'smollm2-00.json')

/** A real trace (an independent reference), with made-up attention maps whose every cell is known: 1 / (row + 1) of the row's keys, doubled at the diagonal. */
export function sampleTrace(): PlottedTrace & { maps: { local: PlottedMap; global: PlottedMap } } {
  const rhythm = JSON.parse(readFileSync(file, 'utf8')) as PlottedRhythm & { tokens: string[] }
  const size = rhythm.tokens.length
  const values = new Float32Array(size * size)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) values[row * size + column] = attention(row, column)
  }
  const map = { size, tokensPerCell: 1, values }
  return { rhythm, tokens: rhythm.tokens, maps: { local: map, global: map } }
}

export const attention = (row: number, column: number) => (column === row ? 2 : 1) / (row + 2)

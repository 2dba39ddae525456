import assert from 'node:assert/strict'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { xoroshiro128plus } from 'pure-rand'
import { CheckpointError } from '../../lib/model/checkpointError'
import { openWeights } from '../../lib/model/openWeights'
import { readSafetensors } from '../../lib/model/safetensors'
import type { WeightSource } from '../../lib/model/weightSource'
import { mutate } from './mutate'

export interface FuzzTarget {
  name: string
  /** The file that is damaged. */
  file: string
  /** What opens it: the file itself or the folder around it. */
  open: string
  /** The part of the file that most changes hit. */
  headerLength: number
  /** Reads everything that there is. */
  load: (path: string) => Promise<void>
}

/** Every format, as small files in `folder`. */
export function fuzzTargets(folder: string): FuzzTarget[] {
  const fixtures = path.join(__dirname, '..', 'fixtures')
  const targets: FuzzTarget[] = []
  for (const name of ['llama.gguf', 'qwen2.gguf', 'qwen3.gguf']) {
    const file = path.join(folder, name)
    cpSync(path.join(fixtures, 'gguf', name), file)
    targets.push({ name, file, open: file, headerLength: 2500, load: loadWeights })
  }
  const series = path.join(folder, 'quantised.safetensors')
  cpSync(path.join(fixtures, 'gguf', 'quantised.safetensors'), series)
  targets.push({
    name: 'a safetensors file',
    file: series,
    open: series,
    headerLength: 900,
    load: async (file) => void (await readSafetensors(file)),
  })
  const model = path.join(folder, 'tiny-llama')
  cpSync(path.join(fixtures, 'reference', 'tiny-llama'), model, { recursive: true })
  for (const name of ['config.json', 'model.safetensors'])
    targets.push({
      name: `${name} of a folder`,
      file: path.join(model, name),
      open: model,
      headerLength: name === 'config.json' ? 800 : 4500,
      load: loadWeights,
    })
  return targets
}

async function loadWeights(target: string): Promise<void> {
  const source: WeightSource = await openWeights(target)
  try {
    for (const name of source.names()) {
      const values = await source.read(name)
      assert.equal(
        values.length,
        source.shape(name).reduce((a, b) => a * b, 1),
      )
    }
  } finally {
    await source.close()
  }
}

/**
 * Opens `count` damaged copies of a file. Each must load or throw a CheckpointError with a message, within a second,
 * and the process may not grow by more than 512 MiB. Returns how many were refused.
 */
export async function fuzz(target: FuzzTarget, count: number, seed: number): Promise<number> {
  const original = readFileSync(target.file)
  const random = xoroshiro128plus(seed)
  const memoryBefore = process.memoryUsage().rss
  let refused = 0
  for (let i = 0; i < count; i++) {
    writeFileSync(target.file, mutate(original, target.headerLength, random))
    const start = performance.now()
    try {
      await target.load(target.open)
    } catch (error) {
      const where = `${target.name}, seed ${seed}, change ${i}`
      if (!(error instanceof CheckpointError)) throw new Error(`not a CheckpointError: ${where}`, { cause: error })
      assert.ok(error.message.length > 20 && error.message.length < 3000, `${where}: ${error.message}`)
      refused++
    }
    const elapsed = performance.now() - start
    assert.ok(elapsed < 1000, `${target.name}, seed ${seed}, change ${i} took ${elapsed} ms`)
  }
  writeFileSync(target.file, original)
  await target.load(target.open)
  const growth = process.memoryUsage().rss - memoryBefore
  assert.ok(growth < 512 * 2 ** 20, `${target.name}: the process grew by ${growth} bytes`)
  return refused
}

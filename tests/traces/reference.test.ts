import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { tf } from '../../lib/engine/tensorflow'
import { forward, logits } from '../../lib/model/decoder'
import { loadModel } from '../../lib/model/loadModel'
import { traceResponse } from '../../lib/traces/traceResponse'
import { creditPart, REFERENCE, readReference, seriesError, TINY_MODELS } from '../oracle/reference'

/** Runs the reference's own comparer; its lines are the message if anything differs. */
function compare(name: string, actual: unknown, ...flags: string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'rhythm-compare-'))
  try {
    writeFileSync(join(folder, 'actual.json'), JSON.stringify(actual))
    const command = [join(REFERENCE, 'compare.py'), join(REFERENCE, name), join(folder, 'actual.json'), ...flags]
    const lines = execFileSync('python3', command, { encoding: 'utf8' })
    assert.ok(lines.split('\n').length > 20, `the comparer compared too little:\n${lines}`)
  } catch (error) {
    const { stdout } = error as { stdout?: string }
    throw stdout
      ? new Error(
          `${name} differs:\n${stdout
            .split('\n')
            .filter((line) => !line.endsWith(': ok'))
            .join('\n')}`,
        )
      : error
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const name of TINY_MODELS) {
  test(`${name}: the whole trace agrees with the reference, strictly`, async () => {
    const reference = readReference(`${name}/expected.json`)
    const model = await loadModel(join(REFERENCE, name))
    const { rhythm } = await traceResponse(model, reference)
    compare(`${name}/expected.json`, rhythm)
  })

  test(`${name}: logits agree with the reference`, async () => {
    const reference = readReference(`${name}/expected.json`)
    const model = await loadModel(join(REFERENCE, name))
    const states = await forward(model, [reference.ids])
    const all = tf.tidy(() => logits(model, tf.reshape(states, [-1, model.config.hiddenSize])).arraySync())
    states.dispose()
    const { positions, values } = reference.logits!
    for (const [i, position] of positions.entries()) {
      assert.ok(seriesError(all[position]!, values[i]!) < 3e-5, `position ${position}`)
    }
  })

  test(`${name}: every variant of the options agrees`, async () => {
    const reference = readReference(`${name}/expected.json`)
    const model = await loadModel(join(REFERENCE, name))
    assert.equal(reference.variants!.length, 6)
    for (const { options, expected } of reference.variants!) {
      const { window, horizon, headShare } = options
      const rl = Object.fromEntries(Object.entries({ window, horizon, headShare }).filter(([, v]) => v !== undefined))
      const { rhythm } = await traceResponse(model, reference, { rhythm: { rl, credit: creditPart(options) } })
      const what = JSON.stringify(options)
      assert.deepEqual(rhythm.rl.localHeads, expected.localHeads, what)
      assert.deepEqual(rhythm.rl.globalHeads, expected.globalHeads, what)
      assert.ok(seriesError(rhythm.rl.waad, expected.waad) < 1e-5, what)
      assert.ok(seriesError(rhythm.rl.fai, expected.fai) < 1e-5, what)
      for (const [strategy, gammas] of Object.entries(expected.credit)) {
        assert.ok(seriesError(rhythm.rl.credit[strategy]!, gammas) < 1e-6, `${what}, ${strategy}`)
      }
    }
  })
}

for (const i of [0, 1, 2, 3]) {
  test(`SmolLM2, trace ${i}: agrees with the reference within what 32 bits allow`, async () => {
    const reference = readReference(`smollm2-0${i}.json`)
    const model = await loadModel('smollm2-135m-instruct')
    const { rhythm } = await traceResponse(model, reference)
    compare(`smollm2-0${i}.json`, rhythm, '--loose')
  })
}

after(async () => {
  for (const name of [...TINY_MODELS.map((n) => join(REFERENCE, n)), 'smollm2-135m-instruct'])
    (await loadModel(name)).dispose()
})

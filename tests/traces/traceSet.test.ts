import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { LanguageModel } from '../../lib/model/languageModel'
import { permuteWeights } from '../../lib/model/permuteWeights'
import type { Problem } from '../../lib/tasks/problems'
import { makeControlSet, modelOfSet } from '../../lib/traces/controlSet'
import { generateResponses } from '../../lib/traces/generateResponses'
import { makeTraceSet, type TraceSetOptions } from '../../lib/traces/makeTraceSet'
import { openTraceSet, type TraceSet } from '../../lib/traces/openTraceSet'
import { traceResponse } from '../../lib/traces/traceResponse'
import { sha256 } from '../../lib/traces/traceSetManifest'
import { temporaryFolder } from '../support/temporaryFolder'
import { tinyTextModel } from './tinyTextModel'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder, ...names)
const problems: Problem[] = ['10', 'b', 'c', '2'].map((id, i) => ({
  id,
  context: 'Two and two.',
  question: `Which is ${i}?`,
  answer: id === 'c' ? '' : String(i),
}))
const options: TraceSetOptions = { problems, maxNewTokens: 40, batch: 3, temperature: 1, seed: 4 }
let model: LanguageModel

before(async () => {
  model = await tinyTextModel()
  await makeTraceSet(model, at('whole'), options)
})
after(() => model.dispose())

/** Content of every file by relative name, hidden ones too. */
function contents(set: string): Record<string, string> {
  const names = readdirSync(set, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    names
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [file.slice(set.length + 1), readFileSync(file).toString('base64')]),
  )
}

function copy(name: string): string {
  rmSync(at(name), { recursive: true, force: true })
  cpSync(at('whole'), at(name), { recursive: true })
  return at(name)
}

function editManifest(set: string, change: (manifest: Record<string, unknown>) => void): void {
  const manifest = JSON.parse(readFileSync(join(set, 'manifest.json'), 'utf8'))
  change(manifest)
  writeFileSync(join(set, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

test('a set names what it was made with, and gives its traces one by one', async () => {
  const set = await openTraceSet(at('whole'), { verify: (_, answer) => answer === '0' })
  assert.deepEqual(set.manifest.problems.ids, ['10', 'b', 'c', '2'])
  assert.equal(set.manifest.prompt, 'plain')
  assert.deepEqual(set.manifest.sampling, {
    samples: 1,
    temperature: 1,
    topK: null,
    topP: 1,
    maxNewTokens: 40,
    seed: 4,
    batch: 3,
  })
  assert.deepEqual(set.problems, problems)
  const seen: string[] = []
  for await (const { id, problem, record, series, withoutSink, correct, truncated } of set.traces()) {
    seen.push(id)
    assert.equal(problem, id)
    const response = record.ids.slice(record.promptLength)
    assert.equal(truncated, response.length === 40 && response.at(-1) !== 3)
    // The problem without a known answer is neither right nor wrong.
    assert.equal(correct, { 10: true, b: false, c: null, 2: false }[id])
    assert.equal(series.sinkExcluded, undefined)
    assert.equal(withoutSink?.sinkExcluded, true)
    assert.ok(series.sentences)
  }
  assert.deepEqual(seen, ['10', 'b', 'c', '2'])
  assert.ok(set.responses.some(({ truncated }) => truncated))
  const silent = await openTraceSet(at('whole'), { verify: () => null })
  assert.ok(silent.responses.every(({ correct }) => correct === null))
})

test('how answers are judged is in the manifest, can change later, and never makes a missing answer wrong', async () => {
  const set = copy('judged')
  // As if the model had said these things: hashes and tokens stay as they are, texts are what is judged.
  const said: Record<string, string> = { 10: 'So it is 0.', b: 'So 2 + 2 is 7.', c: 'It is 2.', 2: 'Nobody knows.' }
  const rewrite = (change: (line: { id: string; response: string; stopReason: string }) => object) => {
    const file = join(set, 'responses.jsonl')
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    const text = lines.map((line) => `${JSON.stringify(change(JSON.parse(line)))}\n`).join('')
    writeFileSync(file, text)
    editManifest(set, (manifest) => Object.assign(manifest.responses as object, { sha256: sha256(text) }))
  }
  rewrite((line) => ({ ...line, response: said[line.id]!, stopReason: 'stop-token' }))
  const verdicts = (opened: TraceSet) => opened.responses.map(({ correct }) => correct)
  const marked = await openTraceSet(set)
  assert.deepEqual([marked.manifest.answers, marked.judgedBy], ['marked', 'marked'])
  assert.deepEqual(verdicts(marked), [null, null, null, null])

  const lenient = await makeTraceSet(model, set, { ...options, answers: 'lenient' })
  assert.deepEqual([lenient.manifest.answers, lenient.judgedBy], ['lenient', 'lenient'])
  assert.deepEqual(verdicts(lenient), [true, false, null, null])
  assert.deepEqual((await makeTraceSet(model, set, options)).manifest, lenient.manifest, 'not asked: not changed')
  // The last number of a response that was cut off is no answer; what it marks is.
  rewrite((line) => ({ ...line, stopReason: 'length', ...(line.id === 'b' && { response: '\\boxed{7}, for 1' }) }))
  assert.deepEqual(verdicts(await openTraceSet(set)), [null, false, null, null])
  assert.equal((await openTraceSet(set, { verify: () => true })).judgedBy, 'verify')

  editManifest(set, (manifest) => delete manifest.answers)
  assert.equal((await openTraceSet(set)).manifest.answers, 'marked', 'as sets from before there was a choice')
  editManifest(set, (manifest) => Object.assign(manifest, { answers: 'strict' }))
  await assert.rejects(openTraceSet(set), /no manifest of a trace set: answers/)
})

test('two at once: the second is refused, also for a file of responses; a lock that a kill left does not matter', async () => {
  const first = makeTraceSet(model, at('twice'), options)
  while (!existsSync(join(at('twice'), 'set.lock'))) await setImmediate()
  await assert.rejects(
    makeTraceSet(model, at('twice'), options),
    /twice is in use by process \d+ on .*name another folder/,
  )
  await first
  assert.deepEqual(contents(at('twice')), contents(at('whole')), 'no lock is left')

  const requests = [{ id: 'a', prompt: 'Two?' }]
  const writing = generateResponses(model, requests, at('lines.jsonl'), { maxNewTokens: 20 })
  while (!existsSync(at('lines.jsonl.lock'))) await setImmediate()
  await assert.rejects(generateResponses(model, requests, at('lines.jsonl')), /lines\.jsonl is in use by process/)
  assert.equal((await writing).made, 1)

  rmSync(at('twice'), { recursive: true })
  mkdirSync(at('twice'))
  writeFileSync(join(at('twice'), 'set.lock'), JSON.stringify({ pid: 1, host: hostname(), since: 'then' }))
  await makeTraceSet(model, at('twice'), options)
  assert.deepEqual(contents(at('twice')), contents(at('whole')))
})

test('why a trace is made is told: what is there, and what it lacks', async () => {
  const told: Record<string, string> = {}
  const set = copy('told')
  editManifest(set, (manifest) => Object.assign(manifest, { traces: null }))
  rmSync(join(set, 'traces', 'b.json'))
  truncateSync(join(set, 'traces', '2.series.safetensors'), 1000)
  await makeTraceSet(model, set, {
    ...options,
    onTrace: (id, why) => {
      told[id] = why
    },
  })
  assert.deepEqual(Object.keys(told), ['2', 'b'])
  assert.equal(told.b, 'missing')
  assert.match(told['2']!, /^damaged: /)
})

test('series without the sink are those of a pass of their own that leaves it out', async () => {
  const set = await openTraceSet(at('whole'))
  for await (const { record, withoutSink } of set.traces()) {
    const { series } = await traceResponse(model, record, { rhythm: { excludeSink: true } })
    assert.deepEqual(withoutSink!.span, series.span)
    assert.deepEqual(withoutSink!.waad, series.waad)
    assert.deepEqual(
      [...withoutSink!.fai].sort((a, b) => a.horizon[0] - b.horizon[0]),
      [...series.fai].sort((a, b) => a.horizon[0] - b.horizon[0]),
    )
    assert.deepEqual(withoutSink!.inbound, series.inbound)
  }
})

test('stopped at any of its reports and started again, it ends with the same bytes', async () => {
  const expected = contents(at('whole'))
  let reports = 0
  await makeTraceSet(model, at('count'), { ...options, onProgress: () => reports++ })
  assert.ok(reports > 20)
  for (let stop = 1; stop < reports; stop += 17) {
    rmSync(at('stopped'), { recursive: true, force: true })
    let count = 0
    const onProgress = () => {
      if (++count === stop) throw new Error('killed')
    }
    await assert.rejects(makeTraceSet(model, at('stopped'), { ...options, onProgress }), /killed/)
    await makeTraceSet(model, at('stopped'), options)
    assert.deepEqual(contents(at('stopped')), expected, `stopped at report ${stop}`)
  }
})

test('what a kill leaves behind is continued to the same bytes', async () => {
  const expected = contents(at('whole'))
  const unfinished = (set: string, responsesToo: boolean) =>
    editManifest(set, (manifest) => {
      manifest.traces = null
      if (responsesToo) manifest.responses = null
    })
  const kills: Record<string, (set: string) => void> = {
    'before the problems were written': (set) => {
      unfinished(set, true)
      for (const name of ['problems.jsonl', 'responses.jsonl', 'traces'])
        rmSync(join(set, name), { recursive: true, force: true })
    },
    'in the middle of a response': (set) => {
      unfinished(set, true)
      truncateSync(join(set, 'responses.jsonl'), readFileSync(join(set, 'responses.jsonl')).indexOf('\n') + 30)
      rmSync(join(set, 'traces'), { recursive: true })
    },
    'before the hash of the responses was noted': (set) => {
      unfinished(set, true)
      rmSync(join(set, 'traces'), { recursive: true })
    },
    'between the two files of a trace, and in a temporary one': (set) => {
      unfinished(set, false)
      rmSync(join(set, 'traces', 'b.json'))
      truncateSync(join(set, 'traces', '2.series.safetensors'), 1000)
      writeFileSync(join(set, 'traces', '.c.json.99.0a1b2c3d.tmp'), 'half')
      writeFileSync(join(set, '.manifest.json.99.0a1b2c3d.tmp'), 'half')
    },
    'before the last manifest': (set) => unfinished(set, false),
  }
  for (const [when, kill] of Object.entries(kills)) {
    const set = copy('killed')
    kill(set)
    if (when !== 'before the problems were written') await assert.rejects(openTraceSet(set), /not finished/)
    await makeTraceSet(model, set, options)
    assert.deepEqual(contents(set), expected, when)
  }
})

test('a kill before the first manifest leaves a folder that can be used', async () => {
  rmSync(at('first'), { recursive: true, force: true })
  cpSync(join(at('whole'), 'traces'), at('first', 'traces'), { recursive: true, filter: (name) => !name.includes('.') })
  await makeTraceSet(model, at('first'), options)
  assert.deepEqual(contents(at('first')), contents(at('whole')))
})

test('what differs from the manifest is refused by file', async () => {
  const edits: [string, (set: string) => void, RegExp][] = [
    ['a response', (set) => appendFileSync(join(set, 'responses.jsonl'), '\n'), /responses\.jsonl is not what .* hash/],
    ['a problem', (set) => appendFileSync(join(set, 'problems.jsonl'), ' '), /problems\.jsonl is not what/],
    ['a record', (set) => edit(join(set, 'traces', 'b.json')), /b\.json is not what/],
    ['a missing record', (set) => rmSync(join(set, 'traces', 'c.json')), /c\.json .*cannot be read \(ENOENT\)/],
    ['no manifest', (set) => rmSync(join(set, 'manifest.json')), /is no trace set/],
    ['a damaged manifest', (set) => truncateSync(join(set, 'manifest.json'), 300), /manifest\.json is not JSON/],
    [
      'other sampling',
      (set) => editManifest(set, (m) => Object.assign(m.sampling as object, { seed: 5 })),
      /another seed/,
    ],
    ['fewer problems', (set) => editManifest(set, (m) => (m.problems as Problem & { ids: string[] }).ids.pop()), /3/],
    ['another model', (set) => editManifest(set, (m) => Object.assign(m.model as object, { name: 'x' })), /not x/],
    ['a lost trace', (set) => editManifest(set, (m) => (m.traces as unknown[]).pop()), /does not list the traces/],
  ]
  for (const [what, change, message] of edits) {
    const set = copy('edited')
    change(set)
    await assert.rejects(openTraceSet(set), message, what)
  }
  const set = copy('edited')
  const file = join(set, 'traces', '2.series.safetensors')
  const bytes = readFileSync(file)
  bytes[bytes.length - 3]! ^= 1
  writeFileSync(file, bytes)
  const opened = await openTraceSet(set)
  await assert.rejects(async () => {
    for await (const _ of opened.traces());
  }, /2\.series\.safetensors is not what/)
})

test('a folder that holds something else is refused, and loses nothing', async () => {
  const before = contents(at('whole'))
  const refused: [Partial<TraceSetOptions>, RegExp][] = [
    [{ seed: 5 }, /sampling\.seed is 4 here, 5 was asked for/],
    [{ limit: 2 }, /holds another trace set: problems/],
    [{ rhythm: { rl: { window: 8 } } }, /method\.options\.rl\.window is 10 here, 8/],
    [{ batch: 2 }, /sampling\.batch/],
  ]
  for (const [change, message] of refused)
    await assert.rejects(makeTraceSet(model, at('whole'), { ...options, ...change }), message)
  const other = await tinyTextModel(2)
  await assert.rejects(makeTraceSet(other, at('whole'), options), /model\.(name|fingerprint)/)
  other.dispose()
  assert.deepEqual(contents(at('whole')), before)
  await assert.rejects(makeTraceSet(model, join(at('whole'), 'traces'), options), /no manifest\.json/)
})

test('permuted weights keep the values of each matrix and all vectors, and follow the seed', async () => {
  const [first, again, other] = [
    await permuteWeights(model, 3),
    await permuteWeights(model, 3),
    await permuteWeights(model, 4),
  ]
  const values = (of: LanguageModel) =>
    of.weights.layers.map(({ products: _, ...layer }) => ({ ...layer, embedding: of.weights.embedding }))
  for (const [i, layer] of values(model).entries()) {
    for (const [name, tensor] of Object.entries(layer)) {
      if (!tensor) continue
      const get = (of: LanguageModel) =>
        Array.from((values(of)[i] as unknown as typeof layer)[name as 'gate']!.dataSync())
      const original = Array.from(tensor.dataSync())
      assert.deepEqual(get(first), get(again))
      if (/[Nn]orm/.test(name)) assert.deepEqual(get(first), original, name)
      else {
        assert.notDeepEqual(get(first), original, name)
        assert.notDeepEqual(get(first), get(other), name)
        // Queries, keys and values are matrices of their own within one tensor.
        const parts = name === 'queryKeyValue' ? [0, 32 * 32, 48 * 32, 64 * 32] : [0, original.length]
        for (const [k, from] of parts.slice(0, -1).entries()) {
          const sorted = (all: number[]) => all.slice(from, parts[k + 1]).sort((a, b) => a - b)
          assert.deepEqual(sorted(get(first)), sorted(original), name)
        }
      }
    }
  }
  assert.equal(first.weights.head, first.weights.embedding, 'tied weights stay tied')
  for (const permuted of [first, again, other]) permuted.dispose()
})

test('a control traces the same responses with permuted weights, and names its base', async () => {
  const control = await makeControlSet(at('whole'), at('control'), { model, seed: 3 })
  const base = await openTraceSet(at('whole'))
  assert.deepEqual(control.responses, base.responses)
  assert.deepEqual(control.manifest.control, {
    kind: 'permuted',
    seed: 3,
    base: { folder: '../whole', responses: base.manifest.responses!.sha256 },
  })
  assert.notEqual(control.manifest.model.fingerprint, base.manifest.model.fingerprint)
  const permuted = await permuteWeights(model, 3)
  for await (const { record } of control.traces()) {
    const { rhythm } = await traceResponse(permuted, record)
    assert.deepEqual(record.analysis.waad, rhythm.analysis.waad)
  }
  permuted.dispose()

  editManifest(at('control'), (manifest) => Object.assign(manifest, { traces: null, responses: null }))
  rmSync(at('control', 'traces', 'b.json'))
  truncateSync(at('control', 'responses.jsonl'), 50)
  const continued = await makeControlSet(at('whole'), at('control'), { model, seed: 3 })
  assert.deepEqual(continued.manifest, control.manifest)
  await assert.rejects(makeControlSet(at('whole'), at('control'), { model, seed: 4 }), /seed/)
  await assert.rejects(makeControlSet(at('control'), at('nested'), { model }), /is a control itself/)
  const other = await tinyTextModel(2)
  await assert.rejects(makeControlSet(at('whole'), at('wrong'), { model: other }), /is not the model of/)
  await assert.rejects(
    modelOfSet({ ...base, manifest: { ...base.manifest, model: { ...base.manifest.model, name: 'nowhere' } } }),
    /nowhere/,
  )
  other.dispose()
})

function edit(file: string): void {
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"promptLength":\d+/, '"promptLength":7'))
}

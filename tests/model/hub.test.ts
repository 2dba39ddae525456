import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Interrupted, interrupt } from '../../lib/engine/cooperate'
import { resolveModel } from '../../lib/model/hub'
import { parseHubName } from '../../lib/model/hubDownload'
import { workspaceRoot } from '../../lib/model/workspace'
import { HubStandIn, type StandInFile } from './hubStandIn'

const VARIABLES = ['HF_ENDPOINT', 'HF_TOKEN', 'HF_HUB_OFFLINE'] as const

/** Bytes that look like no text and repeat nowhere. */
function bytes(length: number, seed: string): Buffer {
  const blocks: Buffer[] = []
  for (let i = 0; i * 32 < length; i++) blocks.push(createHash('sha256').update(`${seed} ${i}`).digest())
  return Buffer.concat(blocks).subarray(0, length)
}
const text = (content: string): StandInFile => ({ content: Buffer.from(content) })
const WEIGHTS = bytes(1_000_000, 'weights')

let modelsFolder: string
let hub: HubStandIn
let saved: (string | undefined)[]

async function serve(files: Record<string, StandInFile>): Promise<void> {
  hub = new HubStandIn('owner/tiny', files)
  process.env.HF_ENDPOINT = await hub.listen()
}

const FILES = (): Record<string, StandInFile> => ({
  'README.md': text('not needed'),
  'config.json': text('{"model_type": "llama"}'),
  'generation_config.json': text('{}'),
  'tokenizer.json': { content: bytes(300_000, 'tokenizer'), large: true },
  'tokenizer_config.json': text('{"é": 1}'),
  'chat_template.jinja': text('{{ messages }}'),
  'model.safetensors': { content: WEIGHTS, large: true },
  'model.fp16.safetensors': { content: bytes(10, 'other'), large: true },
  'pytorch_model.bin': { content: bytes(10, 'pickle'), large: true },
  'onnx/model.onnx': { content: bytes(10, 'onnx'), large: true },
})
const NEEDED = [
  'chat_template.jinja',
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
]

beforeEach(() => {
  modelsFolder = mkdtempSync(path.join(tmpdir(), 'hub-'))
  saved = VARIABLES.map((name) => process.env[name])
  for (const name of VARIABLES) delete process.env[name]
})
afterEach(async () => {
  await hub?.close()
  VARIABLES.forEach((name, i) => {
    if (saved[i] === undefined) delete process.env[name]
    else process.env[name] = saved[i]
  })
  rmSync(modelsFolder, { recursive: true, force: true })
})

const options = (more: object = {}) => ({ modelsFolder, retryDelay: 5, ...more })
const manifest = (folder: string) => JSON.parse(readFileSync(path.join(folder, 'download.json'), 'utf8'))

describe('a download', () => {
  test('takes what a model needs, checks it, records the commit, and needs no network again', async () => {
    await serve(FILES())
    const progress: { done: number; total: number; note?: string; file?: string }[] = []
    const folder = await resolveModel('owner/tiny', {
      ...options(),
      onProgress: (done, total, note, file) => progress.push({ done, total, note, file: file?.name }),
    })
    assert.equal(folder, path.join(modelsFolder, 'owner--tiny'))
    assert.deepEqual(readdirSync(folder).sort(), [...NEEDED, 'download.json'].sort())
    for (const name of NEEDED) assert.ok(readFileSync(path.join(folder, name)).equals(hub.files[name].content), name)
    const { model, revision, commit, complete } = manifest(folder)
    assert.deepEqual(
      { model, revision, commit, complete },
      { model: 'owner/tiny', revision: null, commit: hub.commit, complete: true },
    )

    const total = NEEDED.reduce((sum, name) => sum + hub.files[name].content.length, 0)
    assert.ok(progress.every((event, i) => event.total === total && event.done >= (progress[i - 1]?.done ?? 0)))
    assert.equal(progress.at(-1)?.done, total)
    assert.ok(
      progress.some(
        ({ note, file }) => file === 'model.safetensors' && /^model\.safetensors: .* of 1\.0 MB$/.test(note ?? ''),
      ),
    )

    const before = hub.requests.length
    assert.equal(await resolveModel('owner/tiny', options()), folder)
    process.env.HF_HUB_OFFLINE = '1'
    assert.equal(await resolveModel('owner/tiny', options()), folder)
    assert.equal(hub.requests.length, before)
  })

  test('goes on where a connection broke', async () => {
    await serve(FILES())
    hub.faults.breakAfter['model.safetensors'] = [400_000, 300_000]
    const folder = await resolveModel('owner/tiny', options())
    assert.ok(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS))
    const ranges = hub
      .downloadsOf('model.safetensors')
      .flatMap(({ path: at, range }) => (at.startsWith('/storage') ? [range] : []))
    assert.deepEqual(ranges, [undefined, 'bytes=400000-', 'bytes=700000-'])
  })

  test('keeps what arrived when it gives up, and a later call goes on from there at the same commit', async () => {
    await serve(FILES())
    hub.faults.breakAfter['model.safetensors'] = [100_000, 100_000, 100_000, 100_000]
    const failure = await resolveModel('owner/tiny', options()).catch((error: Error) => error.message)
    const folder = path.join(modelsFolder, 'owner--tiny')
    // What a broken connection had sent last does not always arrive.
    const kept = statSync(path.join(folder, 'model.safetensors.partial')).size
    assert.ok(kept > 0 && kept <= 400_000, `${kept}`)
    assert.match(
      `${failure}`,
      new RegExp(`owner/tiny from .*: model.safetensors broke off at ${kept} of 1000000 bytes .*run it again to go on`),
    )
    assert.equal(manifest(folder).complete, false)
    const tokenizerDownloads = hub.downloadsOf('tokenizer.json').length
    const asked = hub.requests.length
    assert.equal(await resolveModel('owner/tiny', options()), folder)
    assert.ok(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS))
    assert.equal(hub.downloadsOf('tokenizer.json').length, tokenizerDownloads)
    assert.ok(hub.requests.slice(asked).every(({ path: at }) => !at.startsWith('/api/')))
    assert.equal(hub.requests.at(-1)?.range, `bytes=${kept}-`)
    assert.ok(!existsSync(path.join(folder, 'model.safetensors.partial')))
  })

  test('starts a file over if the server cannot continue it', async () => {
    await serve(FILES())
    hub.faults.breakAfter['model.safetensors'] = [250_000]
    hub.faults.ignoreRange = true
    const folder = await resolveModel('owner/tiny', options())
    assert.ok(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS))
  })

  test('fetches again a file that is gone or cut short', async () => {
    await serve(FILES())
    const folder = await resolveModel('owner/tiny', options())
    writeFileSync(path.join(folder, 'model.safetensors'), WEIGHTS.subarray(0, 10))
    rmSync(path.join(folder, 'config.json'))
    hub.requests.length = 0
    await resolveModel('owner/tiny', options())
    assert.ok(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS))
    assert.equal(hub.downloadsOf('config.json').length, 1)
    assert.equal(hub.downloadsOf('tokenizer.json').length, 0)
  })

  for (const [file, how] of [
    ['model.safetensors', 'SHA-256'],
    ['config.json', 'git SHA-1'],
  ])
    test(`does not keep damaged bytes: ${file}, by its ${how}`, async () => {
      await serve(FILES())
      const damaged = Buffer.from(hub.files[file].content)
      damaged[damaged.length >> 1] ^= 1
      hub.faults.replace[file] = damaged
      await assert.rejects(
        resolveModel('owner/tiny', options()),
        new RegExp(`${file} arrived damaged: its ${how} is [0-9a-f]+, the hub lists [0-9a-f]+`),
      )
      const folder = path.join(modelsFolder, 'owner--tiny')
      assert.ok(!readdirSync(folder).some((name) => name.startsWith(file)))
      hub.faults.replace = {}
      await resolveModel('owner/tiny', options())
      assert.ok(readFileSync(path.join(folder, file)).equals(hub.files[file].content))
    })

  test('does not take more bytes than are listed', async () => {
    await serve(FILES())
    hub.faults.replace['model.safetensors'] = Buffer.concat([WEIGHTS, Buffer.from('more')])
    await assert.rejects(resolveModel('owner/tiny', options()), /longer than the 1000000 bytes/)
  })

  test('takes the shards that the index names', async () => {
    const index = { weight_map: { a: 'part-1.safetensors', b: 'part-2.safetensors', c: 'part-1.safetensors' } }
    await serve({
      'config.json': text('{}'),
      'model.safetensors.index.json': text(JSON.stringify(index)),
      'part-1.safetensors': { content: bytes(50, '1'), large: true },
      'part-2.safetensors': { content: bytes(60, '2'), large: true },
      'consolidated.safetensors': { content: bytes(70, '3'), large: true },
    })
    const folder = await resolveModel('owner/tiny', options())
    assert.deepEqual(readdirSync(folder).sort(), [
      'config.json',
      'download.json',
      'model.safetensors.index.json',
      'part-1.safetensors',
      'part-2.safetensors',
    ])
  })

  test('takes a GGUF file: the only one, or the one asked for', async () => {
    const gguf = { content: bytes(100, 'gguf'), large: true }
    await serve({ 'README.md': text(''), 'tiny.Q8_0.gguf': gguf })
    assert.equal(await resolveModel('owner/tiny', options()), path.join(modelsFolder, 'owner--tiny', 'tiny.Q8_0.gguf'))
    assert.equal(await resolveModel('owner/tiny', options()), path.join(modelsFolder, 'owner--tiny', 'tiny.Q8_0.gguf'))
    hub.files['small/tiny.Q4_0.gguf'] = { content: bytes(40, 'other'), large: true }
    const file = await resolveModel('owner/tiny/small/tiny.Q4_0.gguf', options())
    assert.ok(readFileSync(file).equals(hub.files['small/tiny.Q4_0.gguf'].content))
    await assert.rejects(
      resolveModel('owner/tiny/none.gguf', options()),
      /it has no file none.gguf, but tiny.Q8_0.gguf/,
    )
  })

  test('a revision has a folder of its own', async () => {
    await serve(FILES())
    const folder = await resolveModel('owner/tiny@v1', options())
    assert.equal(folder, path.join(modelsFolder, 'owner--tiny@v1'))
    assert.equal(manifest(folder).revision, 'v1')
    await assert.rejects(resolveModel('owner/tiny@v2', options()), /owner\/tiny@v2 .* no such revision/)
  })

  test('sends the token of HF_TOKEN to the hub', async () => {
    await serve(FILES())
    process.env.HF_TOKEN = 'hf_made_up'
    await resolveModel('owner/tiny', options())
    assert.ok(
      hub.requests
        .filter(({ path: at }) => !at.startsWith('/storage'))
        .every((r) => r.authorization === 'Bearer hf_made_up'),
    )
  })
})

describe('a download that stalls is stopped', () => {
  const stalled = async (stop: () => void, more: object) => {
    await serve(FILES())
    hub.faults.stallAfter['model.safetensors'] = 500_000
    let started = 0
    const onProgress = (_done: number, _total: number, _note?: string, file?: { name: string; done: number }) => {
      if (started === 0 && file?.name === 'model.safetensors' && file.done === 500_000) {
        started = performance.now()
        setTimeout(stop, 20)
      }
    }
    await assert.rejects(resolveModel('owner/tiny', options({ onProgress, ...more })), Interrupted)
    assert.ok(performance.now() - started < 2000)
    delete hub.faults.stallAfter['model.safetensors']
    const folder = await resolveModel('owner/tiny', options())
    assert.equal(hub.requests.at(-1)?.range, 'bytes=500000-')
    assert.ok(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS))
  }
  test('by its signal', async () => {
    const controller = new AbortController()
    await stalled(() => controller.abort(), { signal: controller.signal })
  })
  test('by an interrupt', () => stalled(interrupt, {}))
})

describe('errors say what was asked, where it was looked for and what to do', () => {
  for (const status of [401, 403])
    test(`status ${status}`, async () => {
      await serve(FILES())
      hub.faults.status = status
      await assert.rejects(
        resolveModel('owner/tiny', options()),
        new RegExp(`download owner/tiny from .*private.*\\(status ${status}\\).*set the environment variable HF_TOKEN`),
      )
      process.env.HF_TOKEN = 'hf_made_up'
      await assert.rejects(resolveModel('owner/tiny', options()), (error: Error) => {
        assert.match(error.message, /check that the token in HF_TOKEN may read it/)
        return !error.message.includes('hf_made_up')
      })
      process.env.HF_TOKEN = 'not a token'
      await assert.rejects(resolveModel('owner/tiny', options()), /HF_TOKEN does not hold a token/)
    })

  test('status 404 and 500', async () => {
    await serve(FILES())
    await assert.rejects(resolveModel('owner/other', options()), /owner\/other .*no such model \(status 404\)/)
    hub.faults.status = 500
    await assert.rejects(resolveModel('owner/tiny', options()), /the stand-in refuses.*Try again later/)
  })

  test('offline', async () => {
    await serve({})
    await hub.close()
    await assert.rejects(
      resolveModel('owner/tiny', options()),
      /download owner\/tiny .*cannot be reached \(.*ECONNREFUSED.*\).*put the model's files .* into .*owner--tiny by hand/,
    )
    process.env.HF_HUB_OFFLINE = '1'
    await assert.rejects(resolveModel('owner/tiny', options()), /HF_HUB_OFFLINE forbids/)
  })

  test('a repository without usable weights', async () => {
    await serve({ 'config.json': text('{}'), 'pytorch_model.bin': text('') })
    await assert.rejects(
      resolveModel('owner/tiny', options()),
      /neither model.safetensors .*only config.json, pytorch_model.bin/,
    )
    hub.files['a.gguf'] = text('a')
    hub.files['b.gguf'] = text('b')
    await assert.rejects(
      resolveModel('owner/tiny', options()),
      /ask for one of them, as owner\/tiny\/FILE.gguf: a.gguf, b.gguf/,
    )
    hub.files['model.safetensors.index.json'] = text('{"weight_map": {"x": "../x.safetensors"}}')
    await assert.rejects(resolveModel('owner/tiny', options()), /names ..\/x.safetensors, which it lacks/)
  })

  test('a damaged record of a download', async () => {
    mkdirSync(path.join(modelsFolder, 'owner--tiny'))
    writeFileSync(path.join(modelsFolder, 'owner--tiny', 'download.json'), '{}')
    await assert.rejects(resolveModel('owner/tiny', options()), /download.json is damaged: remove the folder/)
  })
})

describe('without a network', () => {
  test('paths are what they are', async () => {
    const file = path.join(modelsFolder, 'x.gguf')
    writeFileSync(file, '')
    assert.equal(await resolveModel(modelsFolder), modelsFolder)
    assert.equal(await resolveModel(path.relative(process.cwd(), file)), file)
    writeFileSync(path.join(modelsFolder, 'x.bin'), '')
    await assert.rejects(resolveModel(path.join(modelsFolder, 'x.bin')), /neither a folder .* nor a .gguf file/)
  })

  test('a folder in data/models is found by its name', async () => {
    mkdirSync(path.join(modelsFolder, 'mine'))
    assert.equal(await resolveModel('mine', options()), path.join(modelsFolder, 'mine'))
  })

  test('a folder filled by hand stands for its hub name', async () => {
    const folder = path.join(modelsFolder, 'owner--tiny')
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'config.json'), '{}')
    assert.equal(await resolveModel('owner/tiny', options()), folder)
  })

  test('the packaged model is in the workspace', async () => {
    const file = await resolveModel('smollm2-135m-instruct')
    assert.ok(file.startsWith(path.join(workspaceRoot(), '.venv')))
    assert.equal(readFileSync(file).subarray(0, 4).toString(), 'GGUF')
  })

  test('anything else is refused', async () => {
    await assert.rejects(resolveModel('gpt2', options()), /no model gpt2: .*Give a folder, a .gguf file, smollm2/)
    await assert.rejects(resolveModel('', options()), /got ""/)
    await assert.rejects(resolveModel('../nowhere/at/all', options()), /no such file or folder/)
  })

  test('hub names', () => {
    assert.deepEqual(parseHubName('a-b/c.d_1'), { repo: 'a-b/c.d_1', file: null, revision: null })
    assert.deepEqual(parseHubName('a/b@refs/pr/1'), { repo: 'a/b', file: null, revision: 'refs/pr/1' })
    assert.deepEqual(parseHubName('a/b/q/c.gguf@v1'), { repo: 'a/b', file: 'q/c.gguf', revision: 'v1' })
    for (const bad of [
      'a',
      'a/b/c',
      '/a/b',
      './a/b',
      'a/..',
      '../a',
      'a/b@',
      'a/b@../c',
      'a/b/../c.gguf',
      'a b/c',
      'a/b@v 1',
    ])
      assert.equal(parseHubName(bad), null, bad)
  })
})

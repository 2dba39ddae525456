import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Interrupted } from '../../lib/engine/cooperate'
import { MalformedProblem } from '../../lib/tasks/problemLines'
import { type Problem, readProblems } from '../../lib/tasks/problems'
import { temporaryFolder } from '../support/temporaryFolder'
import { DatasetStandIn } from './datasetStandIn'

const fixtures = path.join(__dirname, '..', 'fixtures', 'problems')
const folder = temporaryFolder()
let files = 0
function fileOf(content: string | Uint8Array, name = `file-${files++}.jsonl`): string {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}
const ids = (problems: Problem[]) => problems.map(({ id }) => id)
const line = (id: string, more: object = {}) => JSON.stringify({ id, question: 'How many?', answer: '7', ...more })

/** GSM8K's form, as tests/fixtures/problems/gsm8k-form.jsonl has it. */
const gsm8k = (stem: string): Problem[] => [
  {
    id: `${stem}-1`,
    question: 'Oluwaseun packs 12 mugs in each of 105 boxes. 60 of the mugs are chipped.  How many mugs are whole?',
    answer: '1200',
    solution: ['There are 12*105=<<12*105=1260>>1260 mugs.', 'So 1260-60=<<1260-60=1200>>1200 are whole.'],
  },
  {
    id: `${stem}-2`,
    question: 'Mr. Petrov reads 9 pages a day. Calculate the number of pages that he reads in a week.',
    answer: '63',
    solution: ['He reads 9*7=<<9*7=63>>63 pages.'],
  },
  {
    id: `${stem}-3`,
    question: 'If a lift carries 4 people at a time, how many rides do 10 people need? (Count the last ride, too.)',
    answer: '3',
    solution: [
      'Two full rides carry 4*2=<<4*2=8>>8 people and one more ride the other 10-8=<<10-8=2>>2, so 2+1=<<2+1=3>>3 rides.',
    ],
  },
]

describe('problems from a file', () => {
  test('without a source they are our own, wherever the program runs', async () => {
    const before = process.cwd()
    process.chdir(folder)
    try {
      const problems = await readProblems()
      assert.equal(problems[0]?.id, 'wp-001')
      assert.ok(problems.length >= 100)
    } finally {
      process.chdir(before)
    }
  })

  test("of GSM8K's form get ids from file and line, and answers without commas", async () => {
    assert.deepEqual(await readProblems(path.join(fixtures, 'gsm8k-form.jsonl')), gsm8k('gsm8k-form'))
    const of = async (answer: string) =>
      (await readProblems(fileOf(JSON.stringify({ question: 'Q?', answer: `#### ${answer}` }))))[0]?.answer
    assert.equal(await of('1,234,567'), '1234567')
    assert.equal(await of('-1,000.25 '), '-1000.25')
    assert.equal(await of('3,4'), '3,4')
  })

  test('may have a byte order mark, Windows line ends, blank lines, no last line end, and keys of their own', async () => {
    const text = `\uFEFF\r\n${line('a', { level: 3 })}\r\n   \r\n\r\n${line('b', { context: ' Été. ', unit: null })}`
    assert.deepEqual(await readProblems(fileOf(text)), [
      { id: 'a', question: 'How many?', answer: '7' },
      { id: 'b', context: 'Été.', question: 'How many?', answer: '7', unit: null },
    ])
  })

  test('a line separator of Unicode inside a text ends no line', async () => {
    const [problem] = await readProblems(fileOf(`{"id":"a","question":"One\u2028two?","answer":"1"}\n`))
    assert.equal(problem?.question, 'One\u2028two?')
  })

  test('ids without one come from the name of the file, made fit for file names', async () => {
    const file = fileOf(
      '{"question":"Q?","answer":"#### 1"}\n\n{"question":"R?","answer":"#### 2"}',
      '.my set (2).jsonl',
    )
    assert.deepEqual(ids(await readProblems(file)), ['my-set-2--1', 'my-set-2--3'])
  })

  test('are chosen by ids, offset and limit', async () => {
    const file = fileOf(['a', 'b', 'c', 'd'].map((id) => line(id)).join('\n'))
    const chosen = async (options: object) => ids(await readProblems(file, options)).join('')
    assert.equal(await chosen({}), 'abcd')
    assert.equal(await chosen({ limit: 2 }), 'ab')
    assert.equal(await chosen({ offset: 3, limit: 2 }), 'd')
    assert.equal(await chosen({ offset: 9 }), '')
    assert.equal(await chosen({ ids: ['d', 'a', 'c'] }), 'dac')
    assert.equal(await chosen({ ids: ['d', 'a', 'c'], offset: 1, limit: 1 }), 'a')
    await assert.rejects(readProblems(file, { ids: ['a', 'z', 'y'] }), /no problem z, y: its 4 ids run from a to d/)
  })
})

describe('what is no problem is refused with file, line and key', () => {
  const cases: [string, string | Uint8Array, RegExp][] = [
    ['not JSON', `${line('a')}\n\n{"id": "b",`, /, line 3: it is not JSON \(/],
    ['a number', '7', /, line 1: expected an object, .*; got 7$/],
    ['null', 'null', /, line 1: expected an object, .*; got null$/],
    ['a JSON array over all problems', `[${line('a')}]`, /, line 1: expected an object, .*; got \[/],
    ['an object over several lines', '{\n"id": "a"\n}', /, line 1: it is not JSON/],
    ['no question', '{"id": "a", "answer": "7"}', /, line 1: key "question" is missing; it has "id", "answer"$/],
    ['no keys', '{}', /, line 1: key "question" is missing; it has no keys$/],
    ['no answer', '{"id": "a", "question": "Q?"}', /, line 1: key "answer" is missing/],
    ['an answer that is a number', line('a', { answer: 7 }), /key "answer": expected a text that is not empty; got 7$/],
    ['an empty question', line('a', { question: '  ' }), /key "question": expected a text .*; got " {2}"$/],
    ['an empty context', line('a', { context: '' }), /key "context": expected a text/],
    ['an id that is a path', line('../a'), /key "id": expected letters, digits, .*; got "\.\.\/a"$/],
    ['an id that is a number', '{"id": 3, "question": "Q?", "answer": "7"}', /key "id": expected a text .*; got 3$/],
    [
      'the same id again',
      `${line('a')}\n${line('b')}\n${line('a')}`,
      /, line 3: key "id": "a" is already that of line 1$/,
    ],
    ['half a step', line('a', { steps: 2.5 }), /key "steps": expected a whole number, 1 or more; got 2.5$/],
    ['a solution that is a text', line('a', { solution: '1 + 1 = 2' }), /key "solution": expected an array of texts/],
    ['neither id nor ####', '{"question": "Q?", "answer": "7"}', /without a key "id", .* "#### " .*; got "7"$/],
    ['nothing after ####', '{"question": "Q?", "answer": "So 7.\\n####  "}', /"answer" must end in "#### "/],
    ['#### twice', '{"question": "Q?", "answer": "#### 7\\n#### 8"}', /"answer" must end in "#### "/],
    ['an empty file', '', /: it is empty; expected a JSON object with a problem on each line$/],
    ['blank lines alone', '\uFEFF\n \n', /: it is empty/],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0xfe, 0x00]), /: it is not UTF-8 text/],
  ]
  for (const [name, content, expected] of cases)
    test(name, async () => {
      const file = fileOf(content)
      await assert.rejects(readProblems(file), (error: Error) => {
        assert.ok(error instanceof MalformedProblem)
        assert.ok(error.message.startsWith(file), error.message)
        assert.match(error.message, expected)
        return true
      })
    })

  test('a file that is not there, and a folder', async () => {
    await assert.rejects(
      readProblems('no/such.jsonl'),
      /no problems at no\/such\.jsonl: .*Give the path of a JSONL file/,
    )
    await assert.rejects(readProblems('openai/humaneval'), /no problems at openai\/humaneval: .* or openai\/gsm8k/)
    await assert.rejects(readProblems(folder), /cannot read problems from .*EISDIR/)
  })

  test('options', async () => {
    const wrong = (options: object, source?: string) => readProblems(source, options)
    await assert.rejects(wrong({ limit: 0 }), /limit is a whole number .* 1 or more; got 0/)
    await assert.rejects(wrong({ limit: 1.5 }), /limit is a whole number/)
    await assert.rejects(wrong({ offset: -1 }), /offset is a whole number .* 0 or more; got -1/)
    await assert.rejects(wrong({ ids: 'wp-001' }), /ids is an array/)
    await assert.rejects(wrong({ split: 'dev' }, 'openai/gsm8k'), /split is one of test, train; got "dev"/)
    await assert.rejects(wrong({ split: 'test' }), /split chooses among the parts of openai\/gsm8k; the source is data/)
    await assert.rejects(wrong({}, ' '), /source is the path of a JSONL file or openai\/gsm8k; got " "/)
  })
})

describe('GSM8K from the hub', () => {
  const content = readFileSync(path.join(fixtures, 'gsm8k-form.parquet'))
  const variables = ['HF_ENDPOINT', 'HF_HUB_OFFLINE'] as const
  let saved: (string | undefined)[]
  let hub: DatasetStandIn
  let downloadsFolder: string
  const stored = (split = 'test') =>
    path.join(downloadsFolder, 'openai--gsm8k', 'main', `${split}-00000-of-00001.parquet`)

  async function serve(split = 'test'): Promise<void> {
    hub = new DatasetStandIn(`/datasets/openai/gsm8k/resolve/main/main/${split}-00000-of-00001.parquet`, content)
    process.env.HF_ENDPOINT = `${await hub.listen()}/`
  }
  beforeEach(() => {
    downloadsFolder = path.join(folder, `downloads-${files++}`)
    saved = variables.map((name) => process.env[name])
    for (const name of variables) delete process.env[name]
  })
  afterEach(async () => {
    await hub?.close()
    variables.forEach((name, i) => {
      if (saved[i] === undefined) delete process.env[name]
      else process.env[name] = saved[i]
    })
  })
  const read = (options: object = {}) => readProblems('openai/gsm8k', { downloadsFolder, ...options })
  const nothingIsLeft = () =>
    assert.deepEqual(existsSync(path.dirname(stored())) ? readdirSync(path.dirname(stored())) : [], [])

  test('is downloaded once, checked, and then needs no network', async () => {
    await serve()
    assert.deepEqual(await read(), gsm8k('gsm8k-test'))
    assert.ok(readFileSync(stored()).equals(content))
    assert.deepEqual(readdirSync(path.dirname(stored())), [path.basename(stored())])
    const requests = hub.requests.length
    process.env.HF_HUB_OFFLINE = '1'
    assert.deepEqual(ids(await read({ ids: ['gsm8k-test-3'] })), ['gsm8k-test-3'])
    assert.equal(hub.requests.length, requests)
  })

  test('its training part is another file', async () => {
    await serve('train')
    assert.deepEqual(ids(await read({ split: 'train', limit: 2 })), ['gsm8k-train-1', 'gsm8k-train-2'])
    assert.ok(existsSync(stored('train')))
  })

  const failures: [string, DatasetStandIn['faults'], RegExp][] = [
    ['damaged on the way', { replace: Buffer.from(content).fill(7, 100, 110) }, /does not have the SHA-256/],
    [
      'broken off',
      { breakOff: true },
      /cannot download main\/test-00000-of-00001\.parquet of openai\/gsm8k, from http/,
    ],
    ['refused', { status: 503 }, /status 503/],
  ]
  for (const [name, faults, expected] of failures)
    test(`${name}: nothing is kept, and the error says what to do`, async () => {
      await serve()
      hub.faults = faults
      await assert.rejects(read(), (error: Error) => {
        assert.match(error.message, expected)
        assert.match(error.message, /Give the path of a copy of GSM8K in JSONL/)
        return true
      })
      nothingIsLeft()
      hub.faults = {}
      assert.equal((await read()).length, 3)
    })

  test('a file that the hub no longer has', async () => {
    await serve('train')
    await assert.rejects(read(), /the dataset no longer has that file/)
  })

  test('out of reach, and forbidden', async () => {
    await serve()
    const endpoint = process.env.HF_ENDPOINT
    await hub.close()
    await assert.rejects(read({ endpoint }), /from http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED.*Give the path of a copy/)
    process.env.HF_HUB_OFFLINE = '1'
    await assert.rejects(read(), /HF_HUB_OFFLINE is set, which forbids it\. Give the path of a copy/)
    nothingIsLeft()
  })

  test('stops when asked to', async () => {
    await serve()
    hub.faults = { stall: true }
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 50)
    const started = performance.now()
    await assert.rejects(read({ signal: controller.signal }), Interrupted)
    assert.ok(performance.now() - started < 2000)
    nothingIsLeft()
  })

  test('a damaged file on disk is named, and what to do with it', async () => {
    await serve()
    await read()
    writeFileSync(stored(), content.subarray(0, content.length - 20))
    await assert.rejects(read(), /\.parquet is not the Parquet file .*: remove it, and it is downloaded again/)
  })
})

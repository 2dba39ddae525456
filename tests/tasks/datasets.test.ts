import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, test } from 'node:test'
import { logicGridTask, readLogicGrids } from '../../lib/tasks/logicGrid'
import { mathTask, readMathSet } from '../../lib/tasks/mathSets'
import { choiceTask, readChoices } from '../../lib/tasks/multipleChoice'
import { readProblems } from '../../lib/tasks/problems'
import type { TaskMessage } from '../../lib/tasks/task'
import { temporaryFolder } from '../support/temporaryFolder'
import { DatasetStandIn } from './datasetStandIn'

const folder = temporaryFolder()
let files = 0
function fileOf(...rows: unknown[]): string {
  const file = path.join(folder, `file-${files++}.jsonl`)
  writeFileSync(file, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'))
  return file
}

describe('math sets', () => {
  test('are read with the keys of the published files', async () => {
    const file = fileOf(
      { ID: '2024-II-4', Problem: 'P1', Solution: 'so 33', Answer: 33 },
      { id: 0, problem: 'P2', answer: '70' },
      { id: 1, problem: 'P3', answer: 142.0, url: 'somewhere' },
      { unique_id: 'test/algebra/1.json', problem: 'P4', solution: 'x', answer: '\\frac{1}{2}', level: 3 },
      { problem: 'P5', solution: 'Thus $x = \\boxed{\\{1, 2\\}}$.' },
      { id: 7, question: 'P6', final_answer: ['$2$', '$3$'], is_multiple_answer: true },
      {
        prompt: [{ role: 'user', content: 'P7' }],
        reward_model: { ground_truth: '34', style: 'rule' },
        extra_info: { index: 'a-b' },
      },
      { prompt: 'P8', solution: '9', reward_model: { ground_truth: '9' } },
      { question: 'P9', answer: 'two and two\n#### 4' },
      { question: 'P9', answer: 'two and two\n#### 4' },
    )
    const stem = path.parse(file).name
    assert.deepEqual(
      (await readMathSet(file)).map(({ id, question, answer }) => [id, question, answer]),
      [
        ['2024-II-4', 'P1', '33'],
        ['0', 'P2', '70'],
        ['1', 'P3', '142'],
        ['test/algebra/1.json', 'P4', '\\frac{1}{2}'],
        [`${stem}-5`, 'P5', '\\{1, 2\\}'],
        ['7', 'P6', '$2$, $3$'],
        ['a-b', 'P7', '34'],
        [`${stem}-8`, 'P8', '9'],
        [`${stem}-10`, 'P9', '4'],
      ],
    )
  })

  test('are refused with file, line and key', async () => {
    const problem = { problem: 'P', answer: '1' }
    await assert.rejects(readMathSet(fileOf(problem, '{')), /file-\d+\.jsonl, line 2: it is not JSON/)
    await assert.rejects(readMathSet(fileOf(problem, '[1]')), /line 2: expected a JSON object; got \[1\]/)
    await assert.rejects(
      readMathSet(fileOf({ answer: '1' })),
      /line 1: no question: expected one of the keys problem.*it has answer/,
    )
    await assert.rejects(readMathSet(fileOf({ problem: 'P' })), /line 1: no answer: expected one of the keys answer/)
    await assert.rejects(readMathSet(fileOf('')), /it is empty/)
    await assert.rejects(readMathSet(path.join(folder, 'none.jsonl')), /cannot read .*none\.jsonl/)
    await assert.rejects(readMathSet('math-500'), /math-500 is on the hub: give downloadsFolder/)
  })

  describe('of the hub', () => {
    let hub: DatasetStandIn | undefined
    afterEach(async () => {
      await hub?.close()
      hub = undefined
    })

    test('are downloaded once', async () => {
      const rows = [{ unique_id: 'test/a/1.json', problem: 'P', solution: 's', answer: '3' }]
      hub = new DatasetStandIn(
        '/datasets/HuggingFaceH4/MATH-500/resolve/main/test.jsonl',
        Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')),
      )
      const options = { downloadsFolder: path.join(folder, 'downloads'), endpoint: await hub.listen() }
      const expected = [{ id: 'test/a/1.json', question: 'P', answer: '3' }]
      assert.deepEqual(await readMathSet('math-500', options), expected)
      const requests = hub.requests.length
      assert.deepEqual(await readMathSet('HuggingFaceH4/MATH-500:test.jsonl', options), expected)
      assert.equal(hub.requests.length, requests)
    })

    test('that are not there are an error that says what to do', async () => {
      hub = new DatasetStandIn('/nothing', Buffer.from('x'))
      const options = { downloadsFolder: path.join(folder, 'others'), endpoint: await hub.listen() }
      await assert.rejects(
        readMathSet('aime-2025', options),
        /cannot download test\.jsonl of math-ai\/aime25.*Give the path of a copy in JSONL/,
      )
    })
  })

  test('are a task with a fixed order, but in training', async () => {
    const items = Array.from({ length: 30 }, (_, i) => ({ id: `${i}`, question: `Q${i}`, answer: `${i}` }))
    const task = mathTask({ train: items.slice(0, 20), test: items.slice(20) })
    assert.deepEqual(task.items('test', 1), items.slice(20))
    const order = (seed: number) => Array.from({ length: 20 }, (_, i) => task.items('train', seed).at(i)?.id)
    assert.deepEqual(order(1), order(1))
    assert.notDeepEqual(order(1), order(2))
    assert.deepEqual(
      [...order(1)].sort(),
      items
        .slice(0, 20)
        .map(({ id }) => id)
        .sort(),
    )
    assert.throws(() => task.items('validation', 1), /math has no items in split validation/)
    assert.throws(() => mathTask({ train: items, test: items.slice(3, 4) }), /also in split train: Q3/)
    assert.match(JSON.stringify(task.prompt(items[0]!)), /Q0.*boxed/)
    assert.deepEqual(task.verify(items[3]!, 'thus \\boxed{3.0}'), {
      reward: 1,
      correct: true,
      wellFormed: true,
      answer: '3.0',
    })
    assert.deepEqual(task.verify(items[3]!, 'thus 3'), { reward: 0, correct: false, wellFormed: false, answer: null })
    assert.equal(mathTask({}, { lenient: true }).verify(items[3]!, 'thus 3.').reward, 1)
  })

  test("take the project's own problems", async () => {
    const problems = await readProblems(undefined, { limit: 5 })
    const task = mathTask({ test: problems })
    for (const problem of problems)
      assert.equal(task.verify(problem, `\\boxed{${problem.answer} \\text{ ${problem.unit} }}`).reward, 1)
  })
})

describe('multiple choice', () => {
  const lettered = 'Which metal is liquid at room temperature?\nA. iron\nB. mercury\nC. lead\nD. tin'
  const crossThink = (truth: string, content = lettered) => ({
    data_source: 'qa',
    prompt: [{ role: 'user', content }],
    ability: 'qa',
    reward_model: { ground_truth: truth, style: 'rule' },
    meta_data: { index: 4, split: 'train-qa' },
  })

  test('is read in the form of CrossThink-QA and as options', async () => {
    const [a, b, c, d, open] = await readChoices(
      fileOf(
        crossThink('B'),
        crossThink('(B) mercury'),
        { question: 'Which?', options: ['x', 'y'], answer: 'y' },
        { question: 'Which one?', choices: ['x', 'y', 'z'], answer: 2 },
        crossThink('the Moon', 'What goes round the Earth?'),
      ),
    )
    assert.deepEqual([a?.answer, b?.answer, c?.answer, d?.answer], ['B', 'B', 'B', 'C'])
    assert.deepEqual(a?.choices, ['iron', 'mercury', 'lead', 'tin'])
    assert.equal(a?.id, '4')
    assert.equal(c?.question, 'Which?\nA. x\nB. y')
    assert.deepEqual([open?.choices, open?.answer], [[], 'the Moon'])
    await assert.rejects(readChoices(fileOf(crossThink('E'))), /line 1: the answer "E" is none of the 4 choices/)
    await assert.rejects(readChoices(fileOf({ question: 'Q' })), /line 1: no answer/)
  })

  const item = { id: '4', question: lettered, choices: ['iron', 'mercury', 'lead', 'tin'], answer: 'B' }
  const open = { id: '5', question: 'What goes round the Earth?', choices: [], answer: 'the Moon' }
  const task = choiceTask({ test: [item, open] }, { formatReward: 0.1 })
  for (const [response, reward] of [
    ['\\boxed{B}', 1],
    ['\\boxed{b}', 1],
    ['\\boxed{(B)}', 1],
    ['\\boxed{\\text{B}}', 1],
    ['\\boxed{\\textbf{(B) mercury}}', 1],
    ['\\boxed{B. mercury}', 1],
    ['\\boxed{mercury}', 1],
    ['<answer> B </answer>\n', 1],
    ['I think\nAnswer: B', 1],
    ['Answer: **B**', 1],
    ['Answer: A\nNo. Answer: B.\n', 1],
    ['\\boxed{A} or rather \\boxed{B}', 1],
    ['\\boxed{A}', 0.1],
    ['\\boxed{iron}', 0.1],
    ['\\boxed{A, B}', 0],
    ['\\boxed{Bromine}', 0],
    ['\\boxed{}', 0],
    ['B', 0],
    ['', 0],
  ] as const)
    test(`pays ${reward} for ${JSON.stringify(response)}`, () => {
      const verdict = task.verify(item, response)
      assert.equal(verdict.reward, reward)
      assert.equal(verdict.correct, reward === 1)
    })

  test('without choices compares the text', () => {
    assert.equal(task.verify(open, '\\boxed{\\text{The moon}}').reward, 1)
    assert.equal(task.verify(open, '\\boxed{the Sun}').reward, 0.1)
    assert.equal(task.verify({ ...open, answer: '12' }, '\\boxed{12.0}').reward, 1)
  })
})

describe('logic grids', () => {
  const row = {
    id: 'lgp-test-2x2-1',
    size: '2*2',
    puzzle: 'There are 2 houses. Eric does not drink milk.',
    solution: {
      header: ['House', 'Name', 'Drink'],
      rows: [
        ['1', 'Eric', 'tea'],
        ['2', 'Peter', 'milk'],
      ],
    }, // by hand
  }
  const right = { 'House 1': { Name: 'Eric', Drink: 'tea' }, 'House 2': { Name: 'Peter', Drink: 'milk' } }
  const item = {
    id: row.id,
    puzzle: row.puzzle,
    attributes: ['Name', 'Drink'],
    rows: [
      ['Eric', 'tea'],
      ['Peter', 'milk'],
    ], // houses 1, 2
  }

  test("are read in ZebraLogic's form", async () => {
    assert.deepEqual(await readLogicGrids(fileOf(row)), [item])
    const hidden = { ...row, solution: { header: ['House', 'Name'], rows: [['___', '___']] } }
    await assert.rejects(readLogicGrids(fileOf(row, hidden)), /line 2: the solution is hidden/)
    await assert.rejects(readLogicGrids(fileOf({ ...row, solution: null })), /line 1: key "solution": expected/)
    await assert.rejects(
      readLogicGrids(fileOf({ ...row, solution: { header: ['House', 'Name'], rows: [['1']] } })),
      /line 1: key "solution": each of its rows needs 2 texts/,
    )
    await assert.rejects(readLogicGrids(fileOf({ id: 'x' })), /no puzzle/)
  })

  const whole = JSON.stringify({ reasoning: 'Eric {tea} it is', solution: right }, null, 2)
  const task = logicGridTask({ test: [item] })
  const byCell = logicGridTask({ test: [item] }, { payCells: true })
  for (const [response, partial, wellFormed] of [
    [whole, 1, true],
    [`I think so:\n\`\`\`json\n${whole}\n\`\`\`\n`, 1, true],
    [`<answer>${JSON.stringify(right)}</answer>`, 1, true],
    [
      JSON.stringify({
        solution: { 'house 2': { name: ' peter ', drink: 'Milk' }, 'HOUSE 1': { NAME: 'eric', Drink: 'TEA' } },
      }),
      1,
      true,
    ],
    [JSON.stringify({ solution: { ...right, 'House 2': { Name: 'Peter', Drink: 'tea' } } }), 0.75, true],
    [JSON.stringify({ solution: { 'House 1': right['House 1'] } }), 0.5, true],
    [JSON.stringify({ solution: { 'House 1': { Name: 'Peter' } } }), 0, true],
    [`${JSON.stringify({ solution: { 'House 1': { Name: 'Peter' } } })} no: ${whole}`, 1, true],
    [`${whole} and {"a": 1}`, 1, true],
    [whole.slice(0, -1), 1, true], // the inner object is whole
    [JSON.stringify({ solution: { 'House 1': { Name: ['Eric', 'Peter'], Drink: null } } }), 0.25, true],
    [JSON.stringify({ Name: 'Eric' }), 0, false],
    ['House 1: Eric', 0, false],
    ['', 0, false],
  ] as const)
    test(`a response has ${partial} of the cells: ${JSON.stringify(response).slice(0, 80)}`, () => {
      const verdict = task.verify(item, response)
      assert.equal(verdict.partial, partial)
      assert.equal(verdict.wellFormed, wellFormed)
      assert.equal(verdict.correct, partial === 1)
      assert.equal(verdict.reward, partial === 1 ? 1 : 0)
      assert.equal(byCell.verify(item, response).reward, partial)
    })

  test('ask for the form that is read', () => {
    const [turn] = task.prompt(item) as TaskMessage[]
    assert.match(turn?.content ?? '', /does not drink milk[\s\S]*"House 1": \{"Name": "…", "Drink": "…"\}, "House 2"/)
  })
})

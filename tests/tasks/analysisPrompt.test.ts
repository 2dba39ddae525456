import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { analysisMessages, analysisPrompt, analysisText, type Problem, splitQuestion } from '../../lib/tasks/problems'

const problem = (question: string, context?: string): Problem => ({ id: 'x', answer: '1', question, context })

describe('the analysis prompt', () => {
  // The reference's first trace; its prompt was written independently of this project.
  const reference = JSON.parse(
    readFileSync(path.join(__dirname, '..', 'fixtures', 'reference', 'smollm2-00.json'), 'utf8'),
  ).prompt as string
  const ferry = problem(
    'How many passengers are on the ferry when it reaches the third island?',
    'A ferry leaves the harbour with 48 passengers. At the first island 15 people get off and 9 get on, and at the second island half of those on board get off.',
  )
  /** ChatML, by hand. */
  const model = {
    chatTemplate: 'ChatML',
    chat: (messages: readonly { role: string; content: string }[]) =>
      `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`,
  }

  test('has the layout of the reference', () => {
    assert.equal(model.chat(analysisMessages(ferry)), reference)
    assert.equal(analysisPrompt(model, ferry), reference)
  })

  test('as plain text has a line for each part', () => {
    const expected =
      'System: Please reason step by step, and put your final answer within \\boxed{}.\n' +
      'Context: Two hens. Two eggs.\nQuestion: How many eggs a hen?\n'
    for (const each of [
      problem('How many eggs a hen?', 'Two hens. Two eggs.'),
      problem('Two hens. Two eggs. How many eggs a hen?'),
    ]) {
      assert.equal(analysisText(each), expected)
      assert.equal(analysisPrompt(model, each, { plain: true }), expected)
      assert.equal(analysisPrompt({ ...model, chatTemplate: null }, each), expected)
    }
  })

  test('of one sentence has no context', () => {
    assert.equal(analysisMessages(problem('What is 3 + 4?'))[1]?.content, 'Question: What is 3 + 4?')
  })
})

describe('the question of a problem that is one text', () => {
  const cases: [string, string, string][] = [
    [
      'is its last sentence',
      'Ana has 3 figs.  She eats one. How many are left?',
      'Ana has 3 figs.  She eats one.|How many are left?',
    ],
    [
      'may be a request',
      'Ana has 3 figs. She eats one. Calculate the rest.',
      'Ana has 3 figs. She eats one.|Calculate the rest.',
    ],
    [
      'takes along what follows it',
      'A pie weighs 7 g. How much is half? (Round up.)',
      'A pie weighs 7 g.|How much is half? (Round up.)',
    ],
    [
      'starts at the last question mark of several',
      'Can he win? He has 3 points. How many more?',
      'Can he win? He has 3 points.|How many more?',
    ],
    [
      'begins with a number',
      'Ana has figs. 3 of 9 are ripe. 6 are what share?',
      'Ana has figs. 3 of 9 are ripe.|6 are what share?',
    ],
    ['is not cut at a title', 'Ann has 5 figs. How many has Mr. Li?', 'Ann has 5 figs.|How many has Mr. Li?'],
    ['is not cut at a decimal', 'A fig is $0.50. What do 3.5 kg cost?', 'A fig is $0.50.|What do 3.5 kg cost?'],
    ['may follow a quotation', 'Ana says: "I have 3." How many has she?', 'Ana says: "I have 3."|How many has she?'],
    ['may follow an hour', 'He starts at 5 p.m. When does he stop?', 'He starts at 5 p.m.|When does he stop?'],
    [
      'may be all there is',
      'If Ana has 3 figs and eats one, how many are left?',
      '|If Ana has 3 figs and eats one, how many are left?',
    ],
    ['may follow a line end', 'Ana has 3 figs.\nHow many pairs?', 'Ana has 3 figs.|How many pairs?'],
    ['may start with another alphabet', 'Аня нашла 3 гриба. Сколько пар?', 'Аня нашла 3 гриба.|Сколько пар?'],
  ]
  for (const [name, text, expected] of cases)
    test(name, () => {
      const { context, question } = splitQuestion(text)
      assert.equal(`${context}|${question}`, expected)
    })
})

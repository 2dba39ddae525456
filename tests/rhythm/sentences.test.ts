import assert from 'node:assert/strict'
import test from 'node:test'
import { sentenceStarts } from '../../lib/rhythm/sentences'

const split = (tokens: string[]) => {
  const starts = sentenceStarts(tokens)
  return starts.map((start, i) => tokens.slice(start, starts[i + 1]).join(''))
}

test('sentences end at . ? ! before white space, and at line breaks', () => {
  const tokens = [
    'He',
    ' pays',
    ' $',
    '3',
    '.',
    '50',
    '.',
    ' Why',
    '?',
    ' "',
    'No',
    '."',
    ' So',
    '\n\n',
    'Step',
    ' 2',
    '.',
    ' Add',
  ]
  assert.deepEqual(split(tokens), ['He pays $3.50.', ' Why?', ' "No."', ' So\n\n', 'Step 2.', ' Add'])
})

test('white space alone makes no sentence, and there is always a first one', () => {
  assert.deepEqual(sentenceStarts(['\n', '\n', 'a', '.', '\n', 'b']), [0, 5])
  assert.deepEqual(sentenceStarts(['a']), [0])
  assert.deepEqual(sentenceStarts([]), [])
})

import assert from 'node:assert/strict'
import test from 'node:test'
import { textTokenClass } from '../../lib/analysis/tokenClass'

const classes = (tokens: string[]) =>
  tokens.map((text, position) => textTokenClass({ text, id: position, position, tokens }))

test('by hand: classes of the tokens of a sentence', () => {
  assert.deepEqual(
    classes(['The', ' r', 'abbit', ' ate', ' ', '1', '2', ' 3', '.', '\n\n', 'So', ' x', '=', 'y', 'z']),
    [
      'word-initial',
      'word-initial',
      'word-internal',
      'word-initial',
      'space',
      'digit',
      'digit',
      'digit',
      'punctuation',
      'space',
      'word-initial',
      'word-initial',
      'punctuation',
      'word-initial',
      'word-internal',
    ],
  )
})

test('accents, other scripts, symbols, and a token without text', () => {
  assert.deepEqual(classes(['é', 'té', ' ноч', 'ь', ' $', '\\', 'frac', ' ½', '”']), [
    'word-initial',
    'word-internal',
    'word-initial',
    'word-internal',
    'punctuation',
    'punctuation',
    'word-initial',
    'digit',
    'punctuation',
  ])
  assert.equal(textTokenClass({ text: null, id: 5, position: 2, tokens: null }), null)
})

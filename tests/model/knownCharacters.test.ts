import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHARACTER_OF_BYTE } from '../../lib/model/byteAlphabet'
import { checkCharacters, narrowAlphabet } from '../../lib/model/knownCharacters'
import { loadTokenizer } from '../../lib/model/loadTokenizer'
import { writeCharacterTokenizer } from '../../lib/training/trainedModel'
import { temporaryFolder } from '../support/temporaryFolder'

const folder = temporaryFolder()

test('a decoder of single characters refuses the others: which, in which text, what it knows, what to do', async () => {
  await writeCharacterTokenizer('0123+= \n', folder)
  const tokenizer = await loadTokenizer(folder)
  assert.deepEqual(tokenizer.encode('3+1= 2\n'), [3, 4, 1, 5, 6, 2, 7])
  assert.throws(
    () => tokenizer.encode('What is 1+1?'),
    /has no token for "W", "h", "a", "t", "i", "s", "\?" of "What is 1\+1\?": it knows "\\n \+0123=".*--run FOLDER/,
  )
  assert.throws(() => tokenizer.encode('1é'), /no token for "é"/)
  assert.throws(() => tokenizer.encode('abcdefghijkl'), /"h" and 4 more characters/)
})

test('a vocabulary that lacks nothing printable knows every text', () => {
  const rare = [0x04, 0xf1].map((byte) => CHARACTER_OF_BYTE[byte])
  assert.equal(
    narrowAlphabet((entry) => !rare.includes(entry)),
    null,
  )
  const withoutTilde = narrowAlphabet((entry) => entry !== '~')!
  assert.equal(withoutTilde.size, 255)
  checkCharacters('naïve 𝒳\u0004', withoutTilde, 'test')
  assert.throws(() => checkCharacters('a~b', withoutTilde, 'test'), /no token for "~"/)
})

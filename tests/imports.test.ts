import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { filesUnder } from '../kernels/setup/stamp.mjs'
import { importsOf, openFiles, violations } from './importDirections'

const lib = join(__dirname, '..', 'lib')
const sources = Object.fromEntries(
  Object.entries(filesUnder(lib, (name: string) => name.endsWith('.ts'))).map(([path, content]) => [
    path,
    String(content),
  ]),
)
const { dependencies } = JSON.parse(readFileSync(join(lib, 'package.json'), 'utf8'))

test('the imports of lib go one way', () => {
  assert.deepEqual(violations(sources, Object.keys(dependencies)), [])
})

test('the files that are open to all load no TensorFlow', () => {
  for (const file of openFiles) assert.deepEqual(importsOf(file, sources[file]), [])
})

test('lib/index.ts only re-exports', () => {
  const { statements } = ts.createSourceFile('index.ts', sources['index.ts'], ts.ScriptTarget.Latest, true)
  assert.deepEqual(
    statements.filter((statement) => !ts.isExportDeclaration(statement)).map((statement) => statement.getText()),
    [],
  )
})

test('every kind of import is seen, and whether it is of types only', () => {
  const text = `
    import a, { type B } from 'one'
    import type { C } from 'two'
    import { type D, type E } from 'three'
    export * from './four'
    export type { F } from './five'
    import six = require('six')
    const seven = require('seven'), eight = () => import('eight')
    let nine: import('nine').Nine
    import 'ten'`
  assert.deepEqual(
    importsOf('x.ts', text).map(({ from, typeOnly }) => `${from} ${typeOnly}`),
    [
      'one false',
      'two true',
      'three true',
      './four false',
      './five true',
      'six false',
      'seven false',
      'eight false',
      'nine true',
      'ten false',
    ],
  )
})

const wrong: [string, Record<string, string>, RegExp][] = [
  [
    'a lower layer imports a higher one',
    { 'engine/a.ts': "import '../model/b'", 'model/b.ts': '' },
    /engine may not import model/,
  ],
  ['even for a type', { 'rhythm/a.ts': "import type { B } from '../credit/b'", 'credit/b.ts': '' }, /rhythm may not/],
  ['plots load TensorFlow', { 'plots/a.ts': "import '@tensorflow/tfjs-node-gpu'" }, /loads TensorFlow/],
  [
    'credit loads TensorFlow through another file',
    { 'credit/a.ts': "import '../rhythm/b'", 'rhythm/b.ts': "import '@tensorflow/tfjs-node-gpu'" },
    /credit\/a\.ts: loads TensorFlow/,
  ],
  ['something imports the command line', { 'notebook/a.ts': "import '../cli'", 'cli.ts': '' }, /nothing imports cli/],
  [
    'the model imports notebook helpers',
    { 'model/a.ts': "import '../notebook/b'", 'notebook/b.ts': '' },
    /import notebook/,
  ],
  ['the library imports its own index', { 'model/a.ts': "import '..'", 'index.ts': '' }, /index\.ts is for those/],
  ['a folder is new', { 'misc/a.ts': '' }, /misc has no line/],
  ['a package is not declared', { 'model/a.ts': "import 'left-pad'" }, /left-pad is not among/],
  ['a file is not there', { 'model/a.ts': "import './b'" }, /no file of lib/],
]

for (const [name, files, expected] of wrong) {
  test(`it is noticed when ${name}`, () => {
    assert.match(violations(files, ['@tensorflow/tfjs-node-gpu']).join('\n'), expected)
  })
}

test('types may come from TensorFlow, and training may import all that is below it', () => {
  const files = {
    'credit/a.ts': "import type { Tensor } from '@tensorflow/tfjs-node-gpu'",
    'attention/b.ts': "import * as tf from '@tensorflow/tfjs-node-gpu'",
    'training/c.ts': "import '../credit/a'; import '../attention/b'; import { x } from '../engine/cooperate'",
    'engine/cooperate.ts': '',
    'plots/d.ts': "import '../engine/cooperate'; import { readFileSync } from 'node:fs'",
  }
  assert.deepEqual(violations(files, ['@tensorflow/tfjs-node-gpu']), [])
})

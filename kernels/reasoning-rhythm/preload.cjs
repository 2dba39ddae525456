'use strict'

// Loaded by Node before tslab's kernel (kernel.json): cures what tslab gets wrong, see the section on the kernel in environment.md.
const fs = require('node:fs')
const { createRequire } = require('node:module')
const path = require('node:path')
const util = require('node:util')
const { isMainThread } = require('node:worker_threads')

// Node 23 removed it, and TensorFlow's JavaScript calls it.
util.isNullOrUndefined ??= (value) => value === null || value === undefined

// Worker threads and forked children inherit --require, but are no kernels.
const script = process.argv[1] ? fs.realpathSync(process.argv[1]) : ''
if (isMainThread && path.basename(script) === 'tslab' && process.argv[2] === 'kernel') {
  const tslab = createRequire(script)
  require('./interrupts.cjs').countInterrupts()
  require('./compiler.cjs').repairCompiler(tslab)
  require('./messages.cjs').repairMessages(tslab)
  require('./cells.cjs').repairCells(tslab)
}

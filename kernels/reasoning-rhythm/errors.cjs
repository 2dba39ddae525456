'use strict'

// Errors as a notebook shows them: what happened, and the lines of the user's own code and of the library where it did.
const fs = require('node:fs')
const { SourceMap } = require('node:module')
const path = require('node:path')
const { inspect } = require('node:util')

const root = path.resolve(__dirname, '../..')
const red = (text) => `\u001b[31m${text}\u001b[0m`
const FRAMES_SHOWN = 12
const CELLS_REMEMBERED = 300
/** Number of a cell, with its source and the function that leads a compiled position to a source line. */
const cells = new Map()

function rememberCell(cell, line) {
  cells.set(cell.number, { lines: cell.source.split('\n'), line })
  if (cells.size > CELLS_REMEMBERED) cells.delete(cells.keys().next().value)
}

const atCell = /^\s*at (.*?)\(?cell \[(\d+)\]:(\d+):(\d+)\)?$/
const atFile = /^(\s*at .*?)\(?(?:file:\/\/)?(\/.+):(\d+):(\d+)\)?$/

function cellFrame([, name, number, line, column]) {
  const known = cells.get(Number(number))
  const found = known?.line(line - 1, column - 1)
  const where = found === undefined ? `cell [${number}]` : `cell [${number}], line ${found + 1}`
  const caller = name
    .replace(/^async /, '')
    .replace(/^(Proxy|Object)\./, '')
    .trim()
  const inside = caller === '' || caller === 'async' ? '' : `, in ${caller}`
  return `    at ${where}${inside}:  ${known?.lines[found]?.trim() ?? ''}`.trimEnd()
}

function fileFrame([, head, file, line, column]) {
  const name = head.trimEnd()
  let shown = file
  let shownLine = Number(line)
  if (fs.existsSync(`${file}.map`) && !file.includes(`${path.sep}node_modules${path.sep}`)) {
    const entry = new SourceMap(JSON.parse(fs.readFileSync(`${file}.map`, 'utf8'))).findEntry(line - 1, column - 1)
    if (entry.originalSource) {
      shown = path.resolve(path.dirname(file), entry.originalSource)
      shownLine = entry.originalLine + 1
    }
  }
  if (shown.startsWith(root + path.sep)) shown = path.relative(root, shown)
  return `${name} ${shown}:${shownLine}`
}

/** The frames of a stack that a user can act on. */
function frames(stack) {
  const kept = []
  for (const frame of stack.split('\n').filter((line) => /^\s*at /.test(line))) {
    if (/\(?node:|[\\/]tslab[\\/]dist[\\/]|[\\/]kernels[\\/]reasoning-rhythm[\\/]/.test(frame)) continue
    const inCell = atCell.exec(frame)
    const inFile = inCell ? null : atFile.exec(frame)
    const shown = inCell ? cellFrame(inCell) : inFile ? fileFrame(inFile) : frame
    // A cell's last expression is compiled into one place twice.
    if (shown !== kept.at(-1)) kept.push(shown)
  }
  return kept.length > FRAMES_SHOWN ? [...kept.slice(0, FRAMES_SHOWN - 3), '    …', ...kept.slice(-2)] : kept
}

/** The content of Jupyter's `error` message for anything thrown. */
function describeError(error, introduction) {
  if (!(error instanceof Error) && typeof error?.stack !== 'string') {
    const evalue = typeof error === 'string' ? error : inspect(error, { depth: 3 })
    const traceback = [...(introduction ? [introduction] : []), `${red('thrown')}: ${evalue}`]
    return { ename: 'thrown', evalue, traceback }
  }
  const ename = error.name || 'Error'
  const evalue = String(error.message)
  const traceback = introduction ? [introduction] : []
  traceback.push(`${red(ename)}: ${evalue}`, ...frames(error.stack ?? ''))
  if (error.cause !== undefined) traceback.push(...describeError(error.cause, 'caused by').traceback)
  for (const inner of error.errors ?? []) traceback.push(...describeError(inner, 'one of its errors:').traceback)
  return { ename, evalue, traceback }
}

/** The same for what the compiler found: each diagnostic is [file, line, column, text]. */
function describeDiagnostics(diagnostics, source) {
  const lines = source.split('\n')
  const traceback = []
  for (const [file, line, column, text] of diagnostics) {
    traceback.push(`${red('TypeScript')}: ${file}line ${line}: ${text}`)
    if (!file && lines[line - 1] !== undefined) {
      traceback.push(`    ${lines[line - 1]}`, `    ${' '.repeat(Math.max(column - 1, 0))}^`)
    }
  }
  return { ename: 'TypeScript', evalue: diagnostics.map(([, , , text]) => text).join('; '), traceback }
}

module.exports = { describeError, describeDiagnostics, rememberCell }

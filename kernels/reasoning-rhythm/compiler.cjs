'use strict'

// tslab's compiler: watching that works, and the way back from compiled code to the lines that the user wrote.
const { SourceMap } = require('node:module')

const inlineMap = /\n\/\/# sourceMappingURL=data:application\/json;base64,([\w+/=]+)\s*$/
const mapComment = /\n\/\/# sourceMappingURL=\S+\s*$/
/** tslab puts one line before a cell's source. */
const LINES_BEFORE_CELL = 1

/** What came last out of the compiler: `{ output, line(compiledLine, compiledColumn) }`, counted from 0. */
let lastCompiled = null
/** Path of each file that the compiler watches, with what to call when it changed. */
const watchers = new Map()

function repairCompiler(tslab) {
  const file = tslab.resolve('@tslab/typescript-for-tslab')
  const ts = tslab(file)

  // A folder that changes while a failed import waits for it sets off a second rebuild timer, which ends every later cell.
  ts.sys.watchDirectory = () => ({ close() {} })

  const { watchFile } = ts.sys
  ts.sys.watchFile = (path, callback, ...rest) => {
    const watcher = watchFile.call(ts.sys, path, callback, ...rest)
    const entry = { path, callback }
    watchers.set(entry, entry)
    return {
      close() {
        watchers.delete(entry)
        watcher.close()
      },
    }
  }

  const createWatchCompilerHost = (files, options, ...rest) =>
    ts.createWatchCompilerHost(files, { ...options, inlineSourceMap: true }, ...rest)
  // tslab compiles twice: TypeScript to modules, and modules to CommonJS.
  const transpileModule = (source, options) => {
    const first = inlineMap.exec(source)
    const result = ts.transpileModule(source.replace(inlineMap, ''), {
      ...options,
      compilerOptions: { ...options.compilerOptions, sourceMap: true },
    })
    result.outputText = result.outputText.replace(mapComment, '\n')
    const maps = [result.sourceMapText, first && Buffer.from(first[1], 'base64').toString()]
    lastCompiled = { output: result.outputText, line: (line, column) => sourceLine(maps, line, column) }
    return result
  }
  // TypeScript's own exports cannot be assigned to: a copy of them stands in.
  const overridden = Object.getOwnPropertyDescriptors(ts)
  for (const [name, value] of Object.entries({ createWatchCompilerHost, transpileModule })) {
    overridden[name] = { value, enumerable: true }
  }
  tslab.cache[file].exports = Object.defineProperties({}, overridden)
}

function sourceLine(maps, line, column) {
  let position = { originalLine: line, originalColumn: column }
  for (const map of maps) {
    if (!map) return undefined
    position = new SourceMap(JSON.parse(map)).findEntry(position.originalLine, position.originalColumn)
    if (position.originalLine === undefined) return undefined
  }
  return position.originalLine - LINES_BEFORE_CELL
}

/** Makes the compiler look again at the files under a folder, without waiting for the system to report them. */
function refreshTypes(folder) {
  const fs = require('node:fs')
  for (const { path, callback } of [...watchers.values()]) {
    if (!path.startsWith(folder)) continue
    callback(path, fs.existsSync(path) ? 1 : 2)
  }
}

const compiled = () => lastCompiled

module.exports = { repairCompiler, refreshTypes, compiled }

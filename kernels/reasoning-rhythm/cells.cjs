'use strict'

// One cell from start to end: its errors reach the notebook as errors, and nothing that it started fails unseen.
const vm = require('node:vm')
const { countInterrupt, guardTensorScopes } = require('./interrupts.cjs')
const { compiled, refreshTypes } = require('./compiler.cjs')
const { describeError, describeDiagnostics, rememberCell } = require('./errors.cjs')

/** How long an interrupted cell's code gets to end before the user is told that it has not. */
const GRACE_MS = 1000
/** How long after a failure cells that were already on their way are aborted. */
const ABORT_MS = 30
const IN_BACKGROUND = 'A promise that no cell awaits failed, or a callback threw:'
const publish = Symbol('publish')
const kernelSlot = Symbol.for('reasoning-rhythm.kernel')

/** The running cell, or the last one: `{ number, source, state: 'running' | 'ok' | 'failed', background: Error[] }`. */
let cell = null
/** What the last failed cell failed with, as an `error` message's content. */
let failure = null
/** What the running cell's code returned: a promise where it awaits something. */
let running = null

const turn = () => new Promise((resolve) => setImmediate(resolve))

function isInterrupt(error) {
  return (
    error?.name === 'Interrupted' ||
    error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED' ||
    (error instanceof Error && error.message === 'Interrupted asynchronously')
  )
}

/** Gives a cell's code a name, so that stack traces can be led back to the cell, and keeps the promise it returns. */
function nameCells() {
  const { runInThisContext } = vm
  vm.runInThisContext = (code, options) => {
    const last = compiled()
    const start = last ? code.indexOf(last.output) : -1
    if (cell?.state !== 'running' || start < 0) return runInThisContext(code, options)
    rememberCell(cell, last.line)
    running = runInThisContext(code, {
      ...options,
      filename: `cell [${cell.number}]`,
      columnOffset: -start,
      displayErrors: false,
    })
    return running
  }
}

/** Waits for interrupted code to end, and says what is left of it. */
async function settle() {
  const ended = Promise.resolve(running).then(
    () => true,
    () => true,
  )
  let timer
  const waited = new Promise((resolve) => {
    timer = setTimeout(resolve, GRACE_MS, false)
  })
  const done = await Promise.race([ended, waited])
  clearTimeout(timer)
  return done
    ? 'the cell was stopped'
    : 'the cell was stopped, but its code does not watch for interrupts and may still be running: call progress(...).update() in its loop, or restart the kernel'
}

function wrapExecutor(createExecutor) {
  return (rootDir, converters, console) => {
    let thrown = []
    let diagnostics = []
    const catching = {
      ...console,
      error(format, ...values) {
        if (values.length === 4) diagnostics.push(values)
        else thrown.push(format)
      },
    }
    const executor = createExecutor(rootDir, converters, catching)
    const execute = async (source) => {
      thrown = []
      diagnostics = []
      running = null
      cell = { number: (cell?.number ?? 0) + 1, source, state: 'running', background: [] }
      globalThis[kernelSlot].cell = cell
      const closeTensorScopes = guardTensorScopes()
      let ok = false
      try {
        ok = await executor.execute(source)
      } catch (error) {
        thrown.push(error)
      }
      // Rejections that nobody handles are known one turn later.
      await turn()
      if (thrown.length > 0 && isInterrupt(thrown[0])) {
        if (thrown[0].code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') {
          countInterrupt()
          closeTensorScopes()
        }
        failure = { ename: 'Interrupted', evalue: await settle() }
        failure.traceback = [`\u001b[31mInterrupted\u001b[0m: ${failure.evalue}`]
        ok = false
      } else if (thrown.length > 0) {
        failure = describeError(thrown[0])
        ok = false
      } else if (!ok) {
        failure = describeDiagnostics(diagnostics, source)
      } else if (cell.background.length > 0) {
        failure = describeError(cell.background.shift(), IN_BACKGROUND)
        ok = false
      } else if (diagnostics.length > 0) {
        // A %%module cell is kept in spite of its errors.
        process.stderr.write(`${describeDiagnostics(diagnostics, source).traceback.join('\n')}\n`)
      }
      if (!ok) {
        for (const error of cell.background) failure.traceback.push(...describeError(error, IN_BACKGROUND).traceback)
      }
      cell.state = ok ? 'ok' : 'failed'
      return ok
    }
    return { ...executor, execute }
  }
}

/** Errors that reach no cell by themselves: they fail the cell that runs, or are shown below the last one. */
function reportBackground(error) {
  if (isInterrupt(error)) return
  if (cell?.state === 'running') cell.background.push(error)
  else process.stderr.write(`${describeError(error, IN_BACKGROUND).traceback.join('\n')}\n`)
}

function repairCells(tslab) {
  globalThis[kernelSlot] = { cell: null, refreshTypes }
  nameCells()
  const executors = tslab('../dist/executor.js')
  executors.createExecutor = wrapExecutor(executors.createExecutor)

  // tslab would empty its queue 200 ms after a failure, whatever runs by then.
  tslab('../dist/util.js').TaskQueue.prototype.reset = () => {}
  const { JupyterHandlerImpl, ZmqServer } = tslab('../dist/jupyter.js')
  const { handleExecute: answer } = JupyterHandlerImpl.prototype
  JupyterHandlerImpl.prototype.handleExecute = async function (request, ...rest) {
    const reply = await answer.call(this, request, ...rest)
    // Jupyter's word for a cell that was not run because an earlier one failed.
    if (reply.status === 'abort') reply.status = 'aborted'
    if (reply.status === 'error') {
      // Cells that were sent along with the failed one are read and aborted now; those sent after the reply will run.
      await new Promise((resolve) => setTimeout(resolve, ABORT_MS))
      this.execQueue.prev = Promise.resolve()
      if (failure) {
        Object.assign(reply, failure)
        request[publish](failure)
        failure = null
      }
    }
    return reply
  }
  const { handleExecute, init } = ZmqServer.prototype
  ZmqServer.prototype.handleExecute = function (socket, message) {
    message.content[publish] = (content) => {
      const error = message.createReply()
      error.header.msg_type = 'error'
      error.content = content
      error.signAndSend(this.connInfo.key, this.iopub)
    }
    return handleExecute.call(this, socket, message)
  }
  ZmqServer.prototype.init = function () {
    // tslab's own listeners, set just before, print and forget.
    for (const event of ['uncaughtException', 'unhandledRejection']) {
      process.removeAllListeners(event)
      process.on(event, reportBackground)
    }
    return init.call(this)
  }
}

module.exports = { repairCells }

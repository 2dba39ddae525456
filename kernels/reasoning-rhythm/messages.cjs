'use strict'

// Output on its way to the notebook: nothing is lost, and a burst of short lines travels as a few messages.

/** Writes that pass at once within one window; what comes beyond them is gathered until the window ends. */
const WRITES_AT_ONCE = 20
const WINDOW_MS = 50
const GATHERED_CHARACTERS = 1 << 16

/**
 * tslab sends without waiting, and zeromq.js refuses such sends once 512 were made in one stretch; ZeroMQ itself drops what a
 * slow reader leaves beyond 1,000. Without a time-out a send never waits its turn, and without a mark nothing is dropped.
 */
function sendAtOnce(Socket) {
  const { bind } = Socket.prototype
  // The native method is read-only.
  Object.defineProperty(Socket.prototype, 'bind', {
    value(address) {
      this.sendHighWaterMark = 0
      this.sendTimeout = 0
      return bind.call(this, address)
    },
  })
}

/** Wraps a cell's `writeStream(name, text)`. */
function gatherWrites(writeStream) {
  let name = ''
  let text = ''
  let timer = null
  let windowStart = 0
  let written = 0
  const flush = () => {
    clearTimeout(timer)
    timer = null
    if (!text) return
    const gathered = text
    text = ''
    writeStream(name, gathered)
  }
  const write = (stream, piece) => {
    if (stream !== name) flush()
    name = stream
    text += piece
    const now = performance.now()
    if (now - windowStart > WINDOW_MS) {
      windowStart = now
      written = 0
    }
    if (++written <= WRITES_AT_ONCE || text.length >= GATHERED_CHARACTERS) flush()
    else timer ??= setTimeout(flush, WINDOW_MS)
  }
  return { write, flush }
}

/** Of each socket, the promise of its binding: nothing can be put on the sockets themselves. */
const bindings = new WeakMap()

/**
 * tslab reads a socket while it is still being bound, and zeromq.js refuses the read that follows a message that comes before it has
 * noticed the end of binding: the kernel, on a busy machine, would then never answer. Reading waits for the binding.
 */
function readOnceBound(Socket) {
  const messagesOf = Socket.prototype[Symbol.asyncIterator]
  Socket.prototype[Symbol.asyncIterator] = function () {
    const messages = messagesOf.call(this)
    const next = async () => {
      // tslab asks for the first message before it begins to bind, in the same turn.
      await null
      await bindings.get(this)
      return messages.next()
    }
    return { next }
  }
}

function repairMessages(tslab) {
  const zeromq = tslab('zeromq')
  readOnceBound(zeromq.Router)
  readOnceBound(zeromq.Reply)
  sendAtOnce(zeromq.Publisher)
  sendAtOnce(zeromq.Router)

  const { JupyterHandlerImpl, ZmqServer } = tslab('../dist/jupyter.js')
  const { handleExecute } = JupyterHandlerImpl.prototype
  JupyterHandlerImpl.prototype.handleExecute = async function (request, writeStream, writeDisplayData) {
    const output = gatherWrites(writeStream)
    const display = (content, update) => {
      output.flush()
      writeDisplayData(content, update)
    }
    try {
      return await handleExecute.call(this, request, output.write, display)
    } finally {
      output.flush()
    }
  }

  const { bindSocket } = ZmqServer.prototype
  ZmqServer.prototype.bindSocket = function (socket, port) {
    const binding = bindSocket.call(this, socket, port)
    bindings.set(socket, binding)
    return binding
  }

  // A timer left by a cell would keep the process, and whoever asked for the shutdown waits and then kills it.
  const { close } = ZmqServer.prototype
  ZmqServer.prototype.close = function () {
    close.call(this)
    setTimeout(() => process.exit(0), 500)
  }
}

module.exports = { repairMessages }

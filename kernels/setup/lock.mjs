// One set-up at a time in a folder. The lock is a name in Linux's abstract socket space: the system lets it go when its
// holder ends, however that happens, so there is no stale lock.
import { createHash } from 'node:crypto'
import { createConnection, createServer } from 'node:net'

/** Resolves to a function that releases the lock. `onWait(pid)` is called when another process holds it. */
export async function lockFolder(folder, onWait) {
  const name = `\0reasoning-rhythm-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`
  for (let told = false; ; ) {
    const server = createServer((socket) => socket.on('error', () => {}).write(`${process.pid}\n`))
    const held = await new Promise((done, fail) => {
      server.on('error', (error) => (error.code === 'EADDRINUSE' ? done(false) : fail(error)))
      server.listen(name, () => done(true))
    })
    const sockets = new Set()
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    if (held)
      return () =>
        new Promise((done) => {
          server.close(() => done())
          for (const socket of sockets) socket.destroy()
        })
    await new Promise((done) => {
      const other = createConnection(name)
      other.on('data', (data) => {
        if (!told) onWait(Number(data.toString()))
        told = true
      })
      other.on('error', () => {}) // it ended between our two calls: try again
      other.on('close', done)
    })
  }
}

// What package.json's scripts call: `node kernels/run.mjs COMMAND [ARGUMENT...]`. Written so that an old Node can read it
// and say that it is too old.
var major = Number(process.versions.node.split('.')[0])
if (major < 20) {
  process.stderr.write(`This is Node ${process.versions.node}. Install Node 20.19 or later, or 22.\n`)
  process.exitCode = 1
} else {
  import('./commands.mjs').then((commands) => commands.run(process.argv.slice(2)))
}

// danfojs-node reads URLs through the abandoned, vulnerable `request`; this project reads local files only.
const refuse = () => {
  throw new Error(
    'request: reading tables from a URL is left out of this workspace (environment.md). Download the file and read it from its path.',
  )
}
module.exports = Object.assign(refuse, { get: refuse })

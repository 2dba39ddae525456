import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const WORKSPACE_PACKAGE = 'reasoning-rhythm-workspace'

/** The folder of the repository that this library is installed in, found upwards from this file. Throws outside of one. */
export function workspaceRoot(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json')
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === WORKSPACE_PACKAGE) return folder
    if (folder === path.dirname(folder))
      throw new Error(`no workspace around ${__dirname}: expected a package.json named ${WORKSPACE_PACKAGE} above it`)
  }
}

import { mkdirSync } from 'node:fs'
import path from 'node:path'

/**
 * A new, empty folder `NAME-1`, `NAME-2`, … in `parent`, the first that is not there: for runs that begin anew each time, such as trials
 * of a function that changes between them.
 */
export function newRunFolder(parent: string, name: string): string {
  mkdirSync(parent, { recursive: true })
  for (let i = 1; ; i++) {
    const folder = path.join(parent, `${name}-${i}`)
    try {
      mkdirSync(folder)
      return folder
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

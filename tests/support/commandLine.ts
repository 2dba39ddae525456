import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export const CLI = join(__dirname, '..', '..', 'lib', 'dist', 'cli.js')

/** Runs `rhythm` with arguments in a folder, to its end. */
export function commandLine(folder: string) {
  return (...args: string[]): { status: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', cwd: folder })
    return { status, stdout, stderr }
  }
}

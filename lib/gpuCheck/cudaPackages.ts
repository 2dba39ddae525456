import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

/** The CUDA packages that lie beside TensorFlow, by name and version: `{ 'cuda-runtime': '12.9.79', … }`. Empty with the CPU wheel. */
export function cudaPackages(workspace: string): Record<string, string> {
  const library = path.join(workspace, '.venv', 'lib')
  const folders = existsSync(library) ? readdirSync(library) : []
  const found = folders.flatMap((python) => {
    const packages = path.join(library, python, 'site-packages')
    return existsSync(packages) ? readdirSync(packages) : []
  })
  return Object.fromEntries(
    found.flatMap((name) => {
      const [, what, version] = /^nvidia_(\w+)_cu\d+-(.+)\.dist-info$/.exec(name) ?? []
      return what ? [[what.replaceAll('_', '-'), version!]] : []
    }),
  )
}

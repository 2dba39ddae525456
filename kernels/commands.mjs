// The commands of package.json. Each one sets up what is missing, then hands over to a program and ends with its exit code.
import { spawn } from 'node:child_process'
import { mkdirSync, realpathSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { environment } from './environment.mjs'
import { reproduce } from './reproduce.mjs'
import { rayPackages } from './setup/ray.mjs'
import { filesUnder } from './setup/stamp.mjs'
import { setUpOrExit, takeAccelerator } from './setup.mjs'

const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..'))
const python = join(root, '.venv', 'bin', 'python')

/**
 * Runs a program on our standard streams to its end and resolves to its exit code (128 + n for signal n). A terminal sends
 * Ctrl-C to the program itself; signals from elsewhere are passed on.
 */
export function runProgram(command, args, { cwd = root, env = environment() } = {}) {
  return new Promise((done, fail) => {
    const numbers = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15, SIGABRT: 6 }
    const pass = (signal) => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal))
    // Before the child exists: one that is quick may already want a signal while this process waits for its turn.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass)
    const child = spawn(command, args, { cwd, env, stdio: 'inherit' })
    child.on('error', fail)
    child.on('exit', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, pass)
      done(code ?? 128 + (numbers[signal] ?? 1))
    })
  })
}

/** The environment of Jupyter's programs: what they write goes to `.cache`, not to the user's home. */
export function jupyterEnvironment(parent = process.env) {
  const own = (name) => join(root, '.cache', 'jupyter', name)
  for (const name of ['config', 'data', 'runtime', 'ipython']) mkdirSync(own(name), { recursive: true })
  return {
    ...environment(parent),
    PATH: `${join(root, '.venv', 'bin')}:${parent.PATH}`,
    JUPYTER_CONFIG_DIR: own('config'),
    JUPYTER_CONFIG_PATH: join(root, 'kernels', 'jupyter'),
    JUPYTER_DATA_DIR: own('data'),
    JUPYTER_RUNTIME_DIR: own('runtime'),
    IPYTHONDIR: own('ipython'),
    JUPYTER_PLATFORM_DIRS: '0',
  }
}

async function start(args) {
  const display = process.env.DISPLAY || process.env.WAYLAND_DISPLAY
  const flags = [
    '--ServerApp.ip=127.0.0.1',
    `--ServerApp.root_dir=${root}`,
    '--LabApp.default_url=/lab/tree/notebooks',
    ...(process.getuid() === 0 ? ['--allow-root'] : []),
    ...(display ? [] : ['--no-browser']),
  ]
  return runProgram(python, ['-m', 'jupyterlab', ...flags, ...args], { env: jupyterEnvironment() })
}

/** The test files at or under the given paths; all but those of `apart`, which have commands of their own, without any. */
export function testFiles(paths, apart = ['slow', 'browser', 'ray', 'bench']) {
  const tests = join(root, 'tests')
  const all = Object.keys(filesUnder(tests, (name) => name.endsWith('.test.ts')))
  if (paths.length === 0)
    return all.filter((file) => !apart.includes(file.split('/')[0])).map((file) => join(tests, file))
  const wanted = paths.map((path) => relative(tests, resolve(process.env.INIT_CWD ?? root, path)))
  return all
    .filter((file) => wanted.some((path) => path === '' || file === path || file.startsWith(`${path}/`)))
    .map((file) => join(tests, file))
}

/** `minutes` is how long one file may take: one that hangs fails. */
async function runTests(files, { flags = [], minutes = 5 } = {}) {
  if (files.length === 0) {
    process.stderr.write('No test file (tests/**/*.test.ts) is there.\n')
    return 1
  }
  const args = [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-timeout=${minutes * 60_000}`,
    ...flags,
  ]
  return runProgram(process.execPath, [...args, ...files], { env: jupyterEnvironment() })
}

const checks = [
  ['formatter and linter', [join('node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings']],
  ['types of the library and the tests', [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tests']],
]

/** Checks, then tests: all of them run, so that the end of the output is the test runner's, unless a check failed. */
async function test(args) {
  const flags = args.filter((arg) => arg.startsWith('--'))
  const paths = args.filter((arg) => !arg.startsWith('--'))
  const failed = []
  for (const [name, command] of checks) {
    if ((await runProgram(process.execPath, command)) !== 0) failed.push(name)
  }
  const code = await runTests(testFiles(paths), { flags })
  if (failed.length === 0) return code
  process.stderr.write(`\nFailed before the tests, see above: ${failed.join(', ')}.\n`)
  return code || 1
}

const suite = (folder) => (args) =>
  runTests(testFiles(args.length > 0 ? args : [join(root, 'tests', folder)]), { minutes: 30 })

/** The cluster that the test starts is of packages that nothing else needs: this command alone installs them. */
async function testRay(args) {
  await setUpOrExit({ steps: [rayPackages] })
  return suite('ray')(args)
}

async function bench(args) {
  return runProgram(process.execPath, ['--import', 'tsx', join('tests', 'bench', 'bench.ts'), ...args])
}

/** Relative paths in the arguments are those of the folder where the user typed the command. */
async function rhythm(args) {
  return runProgram(process.execPath, [join(root, 'lib', 'dist', 'cli.js'), ...args], {
    cwd: process.env.INIT_CWD ?? process.cwd(),
  })
}

const commands = {
  setup: async (args) => (args.length > 0 ? unknown(args) : 0),
  start,
  test,
  'test:slow': suite('slow'),
  'test:browser': suite('browser'),
  'test:ray': testRay,
  reproduce: (args) => reproduce(args, { root, python, env: jupyterEnvironment() }),
  bench,
  'gpu-check': (args) => rhythm(['gpu-check', ...args]),
  rhythm,
}

function unknown(args) {
  process.stderr.write(`Unknown: ${args.join(' ')}\n`)
  return 2
}

export async function run([name, ...args]) {
  const command = commands[name]
  if (!command) {
    process.stderr.write(`Unknown command: ${name}. Known: ${Object.keys(commands).join(', ')}\n`)
    process.exit(2)
  }
  const { accelerator, rest } = takeAccelerator(args)
  await setUpOrExit({ accelerator })
  process.exit(await command(rest))
}

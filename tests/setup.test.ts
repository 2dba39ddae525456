import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { testFiles } from '../kernels/commands.mjs'
import { readRequest } from '../kernels/reproduce.mjs'
import { endOrphan, SetupFailure } from '../kernels/setup/children.mjs'
import { lockFolder } from '../kernels/setup/lock.mjs'
import {
  atLeast,
  findCompiler,
  findGpu,
  findPython,
  npmProblem,
  platformProblems,
  type probes,
  systemProblems,
} from '../kernels/setup/machine.mjs'
import {
  chooseAccelerator,
  filledTemplate,
  kernel,
  layout,
  library,
  npmPackages,
  type Step,
} from '../kernels/setup/steps.mjs'
import { setUp, takeAccelerator } from '../kernels/setup.mjs'

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'rhythm-setup-')))
after(() => rmSync(scratch, { recursive: true, force: true }))
let folders = 0
const newFolder = () => {
  const folder = join(scratch, `folder-${++folders}`)
  mkdirSync(folder)
  return folder
}
const put = (path: string, content: string) => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

type Answers = Record<string, string | undefined>
/** A machine on which all is well, but for what `changes` says; `answers` maps a program's name to what it prints. */
function machine(changes: Partial<typeof probes> = {}, answers: Answers = {}): typeof probes {
  const all: Answers = { npm: '10.8.2', 'c++': '', python3: python('3.12.4'), ...answers }
  return {
    platform: 'linux',
    architecture: 'x64',
    nodeVersion: '22.12.0',
    variables: {},
    glibc: () => '2.36',
    processorFlags: () => 'flags : fpu sse avx avx2',
    ask: (command: string) => ({ ok: all[command] !== undefined, out: all[command] ?? '' }),
    freeMegabytes: () => 100_000,
    hasGpuDevice: () => false,
    ...changes,
  }
}
const python = (version: string, rest = {}) =>
  JSON.stringify({ version, path: `/opt/python-${version}`, venv: true, usable: true, ...rest })

test('versions compare number by number', () => {
  assert.ok(atLeast('20.19.0', [20, 19]))
  assert.ok(atLeast('22.1.0', [20, 19]))
  assert.ok(!atLeast('20.9.5', [20, 19]))
  assert.ok(!atLeast('3.9', [3, 10]))
  assert.ok(atLeast('525.60.13', [525, 60, 13]))
  assert.ok(!atLeast('525.60.11', [525, 60, 13]))
})

const platforms: [Partial<typeof probes>, RegExp | undefined][] = [
  [{}, undefined],
  [{ nodeVersion: '20.19.0' }, undefined],
  [{ platform: 'darwin', architecture: 'arm64' }, /This is darwin on arm64/],
  [{ architecture: 'arm64' }, /This is linux on arm64/],
  [{ nodeVersion: '18.20.4' }, /Node 18\.20\.4, which is too old/],
  [{ nodeVersion: '20.18.3' }, /too old/],
  [{ nodeVersion: '23.0.0' }, /Node 23 removed/],
  [{ nodeVersion: '24.4.1' }, /Install Node 22 or 20/],
]
for (const [changes, expected] of platforms) {
  test(`platform ${JSON.stringify(changes)} is ${expected ? 'refused' : 'supported'}`, () => {
    const problems = platformProblems(machine(changes)).join('\n')
    if (expected) assert.match(problems, expected)
    else assert.equal(problems, '')
  })
}

test('musl, an old glibc and a processor without AVX are refused', () => {
  assert.deepEqual(systemProblems(machine()), [])
  assert.match(systemProblems(machine({ glibc: () => '' }))[0], /not glibc/)
  assert.match(systemProblems(machine({ glibc: () => '2.17' }))[0], /glibc 2\.17/)
  assert.match(systemProblems(machine({ processorFlags: () => 'flags\t: fpu sse4_2' }))[0], /no AVX/)
})

test('the first Python that fits is taken', () => {
  const answers = { python3: python('3.9.2'), 'python3.13': undefined, 'python3.12': python('3.12.1', { venv: false }) }
  const found = findPython(machine({}, { ...answers, 'python3.11': `a warning\n${python('3.11.9')}` }))
  assert.deepEqual(found, { python: { path: '/opt/python-3.11.9', version: '3.11.9' } })
  const { problem } = findPython(machine({}, answers))
  assert.match(problem ?? '', /python3 is 3\.9\.2, python3\.12 \(3\.12\.1\) lacks venv or ensurepip/)
  assert.match(problem ?? '', /apt-get install python3 python3-venv/)
  assert.match(findPython(machine({}, { python3: python('3.14.0') })).problem ?? '', /python3 is 3\.14\.0/)
  assert.match(
    findPython(machine({}, { python3: python('3.13.1', { usable: false }) })).problem ?? '',
    /not a 64-bit CPython/,
  )
  assert.match(findPython(machine({}, { python3: undefined })).problem ?? '', /none of python3, python3\.13/)
})

test('PYTHON and CXX decide alone', () => {
  const chosen = machine({ variables: { PYTHON: 'mine' } }, { mine: python('3.10.0') })
  assert.equal(findPython(chosen).python?.version, '3.10.0')
  assert.match(findPython(machine({ variables: { PYTHON: 'gone' } })).problem ?? '', /PYTHON=gone does not run/)
  assert.deepEqual(findCompiler(machine({ variables: { CXX: 'g++-12' } }, { 'g++-12': '' })), { compiler: 'g++-12' })
  assert.match(findCompiler(machine({ variables: { CXX: 'gone' } })).problem ?? '', /CXX=gone does not compile/)
})

test('a missing compiler and a missing npm come with what to type', () => {
  assert.match(findCompiler(machine({}, { 'c++': undefined })).problem ?? '', /apt-get install g\+\+/)
  assert.match(npmProblem(machine({}, { npm: undefined })) ?? '', /apt-get install npm/)
})

test('a GPU counts when its driver can run CUDA 12', () => {
  const present = { hasGpuDevice: () => true }
  assert.deepEqual(findGpu(machine({}, { 'nvidia-smi': 'NVIDIA H100, 550.54.15' })).gpus, []) // no device file
  assert.deepEqual(findGpu(machine(present, { 'nvidia-smi': 'NVIDIA H100, 550.54.15' })).gpus, [
    'NVIDIA H100, driver 550.54.15',
  ])
  assert.deepEqual(findGpu(machine(present)).gpus, []) // nvidia-smi fails
  const old = findGpu(machine(present, { 'nvidia-smi': 'Tesla K80, 470.82.01' }))
  assert.deepEqual(old.gpus, [])
  assert.match(old.note ?? '', /driver 470\.82\.01 is too old/)
  const doubtful = findGpu(machine(present, { 'nvidia-smi': 'NVIDIA H100, 550.54.15, 9.0' }))
  assert.deepEqual(doubtful.gpus, ['NVIDIA H100, driver 550.54.15'])
  assert.match(doubtful.note ?? '', /NVIDIA H100: .*driver 555 or later.* it has 550\.54\.15/)
  for (const fits of ['NVIDIA H100, 555.42.02, 9.0', 'NVIDIA L4, 550.54.15, 8.9'])
    assert.equal(findGpu(machine(present, { 'nvidia-smi': fits })).note, undefined)
})

/** A step that writes its input into `made-NAME`, and what it did into the list. */
function fakeStep(name: string, done: string[], more: Partial<Step> = {}): Step {
  return {
    title: name,
    disk: 10,
    needs: [],
    stamp: ({ root }) => join(root, `stamp-${name}`),
    inputs: ({ root }) => ({ input: readFileSync(join(root, `input-${name}`), 'utf8') }),
    intact: ({ root }) => existsSync(join(root, `made-${name}`)),
    async run({ root }) {
      done.push(name)
      writeFileSync(join(root, `made-${name}`), readFileSync(join(root, `input-${name}`)))
    },
    ...more,
  }
}

function sandbox(more: Partial<Step> = {}) {
  const folder = newFolder()
  const done: string[] = []
  for (const name of ['a', 'b']) put(join(folder, `input-${name}`), `first ${name}`)
  const steps = [fakeStep('a', done), fakeStep('b', done, more)]
  let said = ''
  const stream = { write: (text: string) => (said += text) }
  const go = async (on = machine()) => {
    done.length = 0
    said = ''
    await setUp({ folder, machine: on, steps, stream })
    return done.join()
  }
  return { folder, go, steps, said: () => said }
}

test('a second run does and says nothing; a changed input or a lost output is noticed', async () => {
  const { folder, go, said } = sandbox()
  assert.equal(await go(), 'a,b')
  assert.match(said(), /\[1\/2\] a …\n.*\[2\/2\] b: 0\.\d s\nSet-up done/s)
  assert.equal(await go(), '')
  assert.equal(said(), '')
  put(join(folder, 'input-b'), 'changed')
  assert.equal(await go(), 'b')
  rmSync(join(folder, 'made-a'))
  assert.equal(await go(), 'a')
  put(join(folder, 'stamp-a'), '{"hash": "cut sh')
  assert.equal(await go(), 'a')
  assert.equal(await go(), '')
})

test('a step that was cut off is done again, also when its input goes back to what it was', async () => {
  let cut = true
  const more: Partial<Step> = {
    async run({ root }) {
      writeFileSync(join(root, 'made-b'), 'half')
      if (cut) throw new SetupFailure('cut off')
      writeFileSync(join(root, 'made-b'), 'whole')
    },
  }
  const { folder, go } = sandbox(more)
  await assert.rejects(go(), /cut off/)
  cut = false
  await go()
  cut = true
  put(join(folder, 'input-b'), 'second')
  await assert.rejects(go(), /cut off/)
  put(join(folder, 'input-b'), 'first b')
  cut = false
  await go()
  assert.equal(readFileSync(join(folder, 'made-b'), 'utf8'), 'whole')
})

test('an input that changes while its step runs makes the step stale', async () => {
  const done: string[] = []
  const { folder, go } = sandbox({
    async run({ root }) {
      done.push('b')
      writeFileSync(join(root, 'made-b'), '')
      if (done.length === 1) writeFileSync(join(root, 'input-b'), 'edited meanwhile')
    },
  })
  await go()
  await go()
  await go()
  assert.deepEqual(done, ['b', 'b'])
  assert.equal(readFileSync(join(folder, 'input-b'), 'utf8'), 'edited meanwhile')
})

test('all that is missing is said at once, before anything is done', async () => {
  const { go, folder } = sandbox({ needs: ['python', 'compiler', 'npm'], disk: 5000 })
  const poor = machine({ freeMegabytes: () => 300 }, { python3: undefined, 'c++': undefined, npm: undefined })
  await assert.rejects(go(poor), (error: Error) => {
    for (const part of [
      /No usable Python/,
      /No C\+\+17 compiler/,
      /npm does not run/,
      /needs 5010 MB .* 300 MB are free/,
      /Supported: Linux/,
    ])
      assert.match(error.message, part)
    return true
  })
  assert.ok(!existsSync(join(folder, 'made-a')))
  await assert.rejects(go(machine({ nodeVersion: '23.1.0' })), /Supported: Linux on x86-64/)
})

test('two set-ups at once: the second waits and then finds all done', async () => {
  let running = 0
  let most = 0
  const more: Partial<Step> = {
    async run({ root }) {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 200))
      writeFileSync(join(root, 'made-b'), '')
      running--
    },
  }
  const { folder, steps } = sandbox(more)
  let said = ''
  const one = () => setUp({ folder, machine: machine(), steps, stream: { write: (text: string) => (said += text) } })
  await Promise.all([one(), one(), one()])
  assert.equal(most, 1)
  assert.equal(said.match(/Set-up done/g)?.length, 1)
  assert.equal(said.match(new RegExp(`process ${process.pid}\\): waiting`, 'g'))?.length, 2)
})

const child = (name: string) =>
  JSON.stringify(pathToFileURL(join(__dirname, '..', 'kernels', 'setup', `${name}.mjs`)).href)
const node = (script: string) =>
  spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })

test('a killed set-up leaves no lock, and the program that it ran is ended', async () => {
  const cache = newFolder()
  const holder = node(`
    import { lockFolder } from ${child('lock')}
    import { runChild } from ${child('children')}
    await lockFolder(${JSON.stringify(cache)}, () => {})
    const say = () => {}
    say.progress = () => process.stdout.write('x')
    await runChild('sleep', 'sleep', ['300'], { cwd: '/', env: process.env, cache: ${JSON.stringify(cache)}, say })`)
  await once(holder.stdout, 'data')
  let waited = 0
  const second = lockFolder(cache, (pid: number) => {
    waited = pid
    process.kill(pid, 'SIGKILL')
  })
  const unlock = await second
  assert.equal(waited, holder.pid)
  const { pid } = JSON.parse(readFileSync(join(cache, 'setup-child.json'), 'utf8'))
  assert.ok(existsSync(`/proc/${pid}`))
  const said: string[] = []
  await endOrphan(cache, (line: string) => said.push(line))
  assert.match(said.join(), /its sleep still runs/)
  const state = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ') Z'
  assert.match(state, /\) Z/)
  await unlock()
})

test('a program that fails is shown with the end of its output and a cause that is known', async () => {
  const cache = newFolder()
  const run = (script: string) =>
    spawnSync(process.execPath, [
      '--input-type=module',
      '-e',
      `import { runChild } from ${child('children')}
      const say = Object.assign(() => {}, { progress() {} })
      const options = { cwd: '/', env: process.env, cache: ${JSON.stringify(cache)}, say }
      runChild('fetching', 'sh', ['-c', ${JSON.stringify(script)}], options).catch((error) => {
        console.log(error.message)
        process.exit(error.exitCode)
      })`,
    ])
  const failed = run('echo one; echo "getaddrinfo ENOTFOUND example" >&2; exit 3')
  assert.equal(failed.status, 1)
  assert.match(String(failed.stdout), /fetching failed \(sh, exit 3\):\none\ngetaddrinfo.*registry was not reached/s)
  assert.match(String(run('echo "No space left on device"; exit 1').stdout), /The disk is full/)
  const stopped = run('kill -INT $PPID; exec sleep 20')
  assert.equal(stopped.status, 130)
  assert.match(String(stopped.stdout), /Run the same command again/)
})

test('what an interrupted pip left half-installed is taken for missing', () => {
  const packages = newFolder()
  const dist = (name: string, record?: string) => {
    put(join(packages, `${name}-1.0.dist-info`, 'METADATA'), '')
    if (record) put(join(packages, `${name}-1.0.dist-info`, 'RECORD'), record)
  }
  put(join(packages, 'whole.py'), 'four')
  put(join(packages, 'short.py'), 'four')
  dist('whole', 'whole.py,sha256=x,4\n"whole-1.0.dist-info/RECORD",,\n__pycache__/whole.pyc,,\n')
  dist('unrecorded')
  dist('short', 'short.py,sha256=x,5\n')
  dist('lost', 'lost/__init__.py,sha256=x,0\n')
  put(join(packages, '~emoved', 'x.py'), '')
  const done = spawnSync(layout(join(__dirname, '..')).python, [
    join(__dirname, '..', 'kernels', 'setup', 'repair.py'),
    packages,
  ])
  assert.equal(done.status, 0, String(done.stderr))
  assert.equal(String(done.stdout), 'lost-1.0.dist-info\nshort-1.0.dist-info\nunrecorded-1.0.dist-info\n')
  assert.ok(existsSync(join(packages, 'whole-1.0.dist-info')))
  assert.ok(!existsSync(join(packages, '~emoved')))
})

test('the kernel is registered with the paths of this folder, and again when the folder has moved', async () => {
  const folder = newFolder()
  const template =
    '{"argv": ["{{node}}", "{{root}}/kernels/x.cjs", "{connection_file}"], "env": {"TF_CPP_MIN_LOG_LEVEL": "0"}}'
  put(join(folder, 'kernels', 'mine', 'kernel.json.template'), template)
  put(join(folder, 'kernels', 'mine', 'logo-svg.svg'), '<svg/>')
  put(join(folder, 'kernels', 'mine', 'preload.cjs'), '')
  const go = (at: string) => setUp({ folder: at, machine: machine(), steps: [kernel], stream: { write: () => true } })
  await go(folder)
  const registered = join('.venv', 'share', 'jupyter', 'kernels', 'mine')
  const spec = () => JSON.parse(readFileSync(join(folder, registered, 'kernel.json'), 'utf8'))
  assert.deepEqual(spec().argv, [process.execPath, `${folder}/kernels/x.cjs`, '{connection_file}'])
  assert.equal(spec().env.TF_CPP_MIN_LOG_LEVEL, '0')
  assert.equal(spec().env.TF_FORCE_GPU_ALLOW_GROWTH, 'true')
  assert.ok(existsSync(join(folder, registered, 'logo-svg.svg')))
  assert.ok(!existsSync(join(folder, registered, 'preload.cjs')))
  const moved = `${folder} "moved"`
  renameSync(folder, moved)
  await go(moved)
  const after = JSON.parse(readFileSync(join(moved, registered, 'kernel.json'), 'utf8'))
  assert.equal(after.argv[1], `${moved}/kernels/x.cjs`)
})

test('a template that asks for an unknown value is refused', () => {
  assert.throws(() => filledTemplate('{"argv": ["{{home}}"]}', { root: '/r' }), /names \{\{home\}\}; known: root/)
})

test('npm packages stay while a script changes, and are looked at again when a dependency does', () => {
  const folder = newFolder()
  const manifest = (rest: object) => put(join(folder, 'package.json'), JSON.stringify({ name: 'x', ...rest }))
  const inputs = () => JSON.stringify(npmPackages.inputs(layout(folder)))
  manifest({ scripts: { test: 'a' }, dependencies: { left: '1.0.0' } })
  const before = inputs()
  manifest({ scripts: { test: 'b' }, dependencies: { left: '1.0.0' } })
  assert.equal(inputs(), before)
  manifest({ scripts: { test: 'b' }, dependencies: { left: '1.0.1' } })
  assert.notEqual(inputs(), before)
})

test('node_modules is intact when every package of the lock for this system is there', () => {
  const folder = newFolder()
  const lock = { packages: { '': {}, 'node_modules/a': {}, 'node_modules/w': { os: ['win32'], optional: true } } }
  put(join(folder, 'package-lock.json'), JSON.stringify(lock))
  assert.ok(!npmPackages.intact(layout(folder)))
  put(join(folder, 'node_modules', 'a', 'package.json'), '{}')
  assert.ok(npmPackages.intact(layout(folder)))
})

test('the library is intact when every source has been compiled', () => {
  const folder = newFolder()
  put(join(folder, 'lib', 'rhythm', 'peaks.ts'), '')
  put(join(folder, 'lib', 'types.d.ts'), '')
  assert.ok(!library.intact(layout(folder)))
  put(join(folder, 'lib', 'dist', 'rhythm', 'peaks.js'), '')
  assert.ok(library.intact(layout(folder)))
})

test('CPU or GPU: what was asked for is remembered, what is installed stays, else the machine decides', async () => {
  const folder = newFolder()
  const gpu = machine({ hasGpuDevice: () => true }, { 'nvidia-smi': 'NVIDIA L4, 550.1.1' })
  assert.equal(chooseAccelerator(layout(folder), machine()), 'cpu')
  assert.equal(chooseAccelerator(layout(folder), gpu), 'gpu')
  put(join(folder, '.venv', '.reasoning-rhythm', 'tensorflow.json'), '{"hash": "x", "accelerator": "gpu"}')
  assert.equal(chooseAccelerator(layout(folder), machine()), 'gpu')
  await setUp({ folder, machine: gpu, steps: [], accelerator: 'cpu', stream: { write: () => true } })
  assert.equal(chooseAccelerator(layout(folder), gpu), 'cpu')
  assert.deepEqual(takeAccelerator(['a', '--gpu', '--cpu', 'b']), { accelerator: 'cpu', rest: ['a', 'b'] })
  assert.deepEqual(takeAccelerator(['a']), { accelerator: undefined, rest: ['a'] })
})

test('the test command leaves out what has a command of its own, and takes paths', () => {
  const all = testFiles([])
  assert.ok(all.includes(__filename))
  assert.ok(!all.some((file: string) => /\/tests\/(slow|browser|bench)\//.test(file)))
  assert.deepEqual(testFiles([__filename]), [__filename])
  assert.ok(testFiles([join(__dirname, 'kernel')]).every((file: string) => file.startsWith(join(__dirname, 'kernel'))))
})

test('reproduce refuses what it cannot do, and says what it can', () => {
  const root = newFolder()
  for (const name of ['01-a.ipynb', '02-b.ipynb', 'notes.txt']) put(join(root, 'notebooks', name), '{}')
  const read = (...args: string[]) => readRequest(args, { root, variables: {} })
  assert.deepEqual(read().notebooks, ['01-a.ipynb', '02-b.ipynb'])
  assert.equal(read().output, join(root, 'data', 'reports'))
  assert.deepEqual(read('--notebook', '02', '--parameters', '{"a": 1}').parameters, '{"a": 1}')
  assert.match(
    read('--notebook', '03').problem ?? '',
    /No notebook begins with 03\. There are: 01-a\.ipynb, 02-b\.ipynb/,
  )
  assert.match(read('--parameters', '{"a": 1}').problem ?? '', /name it with --notebook/)
  assert.match(read('--notebook', '01', '--parameters', '{a').problem ?? '', /is not JSON/)
  assert.match(read('--notebook', '01', '--parameters', '[1]').problem ?? '', /must be a JSON object/)
  assert.match(read('--nonsense').problem ?? '', /Usage: npm run reproduce/)
})

const commandsUrl = JSON.stringify(pathToFileURL(join(__dirname, '..', 'kernels', 'commands.mjs')).href)
const launcher = (command: string) =>
  node(`import { runProgram } from ${commandsUrl}
    process.exit(await runProgram('sh', ['-c', ${JSON.stringify(command)}]))`)

test('exit codes and signals pass through', async () => {
  assert.deepEqual(await once(launcher('exit 7'), 'exit'), [7, null])
  assert.deepEqual(await once(launcher('kill -TERM $$'), 'exit'), [143, null])
  const running = launcher("trap 'kill $!; exit 9' TERM; sleep 20 & echo ready; wait")
  await once(running.stdout, 'data')
  running.kill('SIGTERM')
  assert.deepEqual(await once(running, 'exit'), [9, null])
})

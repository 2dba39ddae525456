// What the machine must have, and what to type where it has not. Every probe of the machine goes through `probes`, so that
// tests can describe another machine.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statfsSync } from 'node:fs'

export const supported =
  'Supported: Linux on x86-64 with glibc 2.27 or later and AVX, Node 20.19 to 22, CPython 3.10 to 3.13, a C++17 compiler.'

/** @typedef {typeof probes} Machine */

export const probes = {
  platform: process.platform,
  architecture: process.arch,
  nodeVersion: process.versions.node,
  variables: process.env,
  /** Version of the C library, '' when it is not glibc (musl). Costs some milliseconds. */
  glibc() {
    process.report.excludeNetwork = true
    return process.report.getReport().header.glibcVersionRuntime ?? ''
  },
  processorFlags: () => (existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''),
  /** Runs a program to its end: `{ ok, out }`, where `ok` is false when it is missing or fails. */
  ask(command, args, input = '') {
    const done = spawnSync(command, args, { encoding: 'utf8', input, timeout: 30_000 })
    return { ok: done.status === 0, out: `${done.stdout ?? ''}${done.stderr ?? ''}`.trim() }
  },
  freeMegabytes(folder) {
    const { bavail, bsize } = statfsSync(folder)
    return Math.floor((bavail * bsize) / 1e6)
  },
  hasGpuDevice: () => existsSync('/dev/nvidiactl') || existsSync('/dev/dxg'),
}

/** Whether version `text` ("22.3.1") is at least `bound` ([20, 19]), compared number by number. */
export function atLeast(text, bound) {
  const parts = text.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const different = bound.findIndex((wanted, i) => (parts[i] ?? 0) !== wanted)
  return different < 0 || (parts[different] ?? 0) > bound[different]
}

/** What rules this machine out before anything else is looked at: a list of sentences, empty when all is well. */
export function platformProblems(machine) {
  const problems = []
  const { platform, architecture, nodeVersion } = machine
  if (platform !== 'linux' || architecture !== 'x64') problems.push(`This is ${platform} on ${architecture}.`)
  if (!atLeast(nodeVersion, [20, 19]))
    problems.push(`This is Node ${nodeVersion}, which is too old. Install Node 20.19 or later, or 22.`)
  if (atLeast(nodeVersion, [23]))
    problems.push(
      `This is Node ${nodeVersion}. TensorFlow.js calls util.isNullOrUndefined, which Node 23 removed. Install Node 22 or 20.`,
    )
  return problems
}

/** The slower half of `platformProblems`, for a set-up that has something to do. */
export function systemProblems(machine) {
  const problems = []
  const glibc = machine.glibc()
  if (!glibc) problems.push('The C library is not glibc (Alpine and other musl systems have no TensorFlow wheel).')
  else if (!atLeast(glibc, [2, 27])) problems.push(`The C library is glibc ${glibc}, TensorFlow needs 2.27 or later.`)
  const flags = machine.processorFlags()
  if (flags && !/^flags.*\bavx\b/m.test(flags))
    problems.push('The processor has no AVX, which TensorFlow is built for.')
  return problems
}

const describePython = `
import json, platform, struct, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps({
    "version": platform.python_version(), "path": sys.executable, "venv": has_venv,
    "usable": platform.python_implementation() == "CPython" and struct.calcsize("P") == 8
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
}))`

const pythonNames = ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.10']

/**
 * The Python that the project's environment is made from: PYTHON if that is set, else the first that fits.
 * Returns `{ python: { path, version } }` or `{ problem }`.
 */
export function findPython(machine) {
  const wanted = machine.variables.PYTHON
  const rejected = []
  for (const name of wanted ? [wanted] : pythonNames) {
    const { ok, out } = machine.ask(name, ['-I', '-c', describePython])
    if (!ok) {
      if (wanted) rejected.push(`PYTHON=${wanted} does not run`)
      continue
    }
    const { version, path, venv, usable } = JSON.parse(out.slice(out.lastIndexOf('\n{') + 1))
    if (!atLeast(version, [3, 10]) || atLeast(version, [3, 14])) rejected.push(`${name} is ${version}`)
    else if (!usable) rejected.push(`${name} is not a 64-bit CPython with its lock`)
    else if (!venv) rejected.push(`${name} (${version}) lacks venv or ensurepip`)
    else return { python: { path, version } }
  }
  const found = rejected.length > 0 ? rejected.join(', ') : `none of ${pythonNames.join(', ')} runs`
  return {
    problem:
      `No usable Python 3.10 to 3.13 with venv: ${found}.\n` +
      '  Debian, Ubuntu: sudo apt-get install python3 python3-venv\n' +
      '  Fedora, RHEL:   sudo dnf install python3.12\n' +
      '  Another one:    PYTHON=/path/to/python3.12 before the command',
  }
}

/** The C++ compiler: CXX if that is set, else the first that compiles C++17. Returns `{ compiler }` or `{ problem }`. */
export function findCompiler(machine) {
  const wanted = machine.variables.CXX
  for (const name of wanted ? [wanted] : ['c++', 'g++', 'clang++']) {
    const sample = '#include <optional>\nint main() { return std::optional<int>(0).value(); }\n'
    if (machine.ask(name, ['-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], sample).ok) return { compiler: name }
  }
  return {
    problem:
      `No C++17 compiler: ${wanted ? `CXX=${wanted} does not compile` : 'none of c++, g++, clang++ compiles'} a small program.\n` +
      '  Debian, Ubuntu: sudo apt-get install g++\n' +
      '  Fedora, RHEL:   sudo dnf install gcc-c++',
  }
}

export function npmProblem(machine) {
  if (machine.ask('npm', ['--version']).ok) return undefined
  return (
    'npm does not run. It comes with Node from nodejs.org; where it is a package of its own:\n' +
    '  Debian, Ubuntu: sudo apt-get install npm\n' +
    '  Fedora, RHEL:   sudo dnf install nodejs-npm'
  )
}

/** The GPUs that CUDA 12 can use: `{ gpus: ['NVIDIA H100, driver 550.54'] }`, empty without any, with a `note` if one is not usable or may not be. */
export function findGpu(machine) {
  if (!machine.hasGpuDevice()) return { gpus: [] }
  const ask = (fields) => machine.ask('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader'])
  // Old ones know no compute capability.
  const withCapability = ask('name,driver_version,compute_cap')
  const { ok, out } = withCapability.ok ? withCapability : ask('name,driver_version')
  const rows = ok ? out.split('\n').map((line) => line.split(',').map((cell) => cell.trim())) : []
  const usable = rows.filter(([, driver]) => driver && atLeast(driver, [525, 60, 13]))
  if (rows.length > 0 && usable.length === 0)
    return {
      gpus: [],
      note: `${rows[0][0]}: driver ${rows[0][1]} is too old for CUDA 12 (525.60.13), so the CPU is used.`,
    }
  const gpus = usable.map(([name, driver]) => `${name}, driver ${driver}`)
  // Of some kernels the wheel has no machine code for Hopper, only PTX that older drivers cannot compile.
  const doubtful = usable.find(([, driver, capability]) => Number(capability) >= 9 && !atLeast(driver, [555]))
  if (!doubtful) return { gpus }
  const note = `${doubtful[0]}: TensorFlow's wheel is made for driver 555 or later on this GPU, and it has ${doubtful[1]}. Update it if CUDA_ERROR_UNSUPPORTED_PTX_VERSION shows.`
  return { gpus, note }
}

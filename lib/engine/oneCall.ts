import { randomBytes } from 'node:crypto'
import {
  compileFunction,
  deviceReport,
  executeAll,
  type FunctionOp,
  makesFunctions,
  nativeIds,
  nativeType,
  type OpAttribute,
  removeFunction,
  type Tensor,
  text,
  tf,
  watchOps,
} from './tensorflow'

// An op costs TensorFlow's eager execution 3 to 36 µs beside its work, and keeps every intermediate result until JavaScript lets it go. A
// function of TensorFlow, a graph of ops, costs that once: its ops follow each other without JavaScript, and write where they may over what they read.

/** A function that TensorFlow has, and which of the inputs it takes. */
interface Compiled {
  name: string
  taken: readonly number[]
  outputs: number
  /** How many ops it is. */
  size: number
  /** What `compute` said when it was recorded. */
  said: unknown
}

/** Least recently used first; null for what TensorFlow refused. */
const functions = new Map<string, Compiled | null>()
/** Ops of all functions that are held, some 6 kB each: ten steps of decoding of a model of 30 layers. */
const MOST_OPS = 12_000
/** TensorFlow keeps a function by its name as long as the process lives, which may load this module anew. */
const session = randomBytes(6).toString('hex')
let made = 0

/** Ops that change what their first input holds. */
const EFFECTS = new Set(['InplaceUpdate', 'InplaceAdd'])

/** Set to 1, every op runs by itself. */
let enabled = process.env.RHYTHM_OP_BY_OP !== '1'

/** Runs `compute` with every op by itself, where `inOneCall` would make functions: to compare the two. */
export function opByOp<T>(compute: () => T): T {
  const before = enabled
  enabled = false
  try {
    return compute()
  } finally {
    enabled = before
  }
}

/**
 * What `compute` returns, by one call of TensorFlow instead of one for each of its ops. At the first time `compute` runs, its ops are recorded,
 * and TensorFlow makes a function of them, which gives the results from then on, the first ones included: `compute` is called no more. So
 * - `inputs` has every tensor that it reads and did not make (constants of `ops.ts` aside), in the same order each time;
 * - `key` says all that decides which ops it runs, with which axes and shapes, beside the types of `inputs`;
 * - what it changes in place may be changed so twice.
 * Its rounding may differ from that of the ops by themselves. Where TensorFlow takes no functions, or not this one (one line on stderr
 * says why), `compute` runs each time. The caller's `tidy` owns the results. Throws what `compute` throws, and if it reads a tensor that is not in `inputs`.
 */
export function inOneCall(key: string, inputs: readonly Tensor[], compute: () => Tensor[]): Tensor[] {
  return inOneCallWith(key, inputs, () => [compute(), null])[0]
}

/**
 * The same for a `compute` that says more than numbers, of its results' layout for instance: what it says at the first time holds for all
 * calls with the same key. Results that it has kept from its `tidy` are the caller's to dispose each time.
 */
export function inOneCallWith<T>(key: string, inputs: readonly Tensor[], compute: () => [Tensor[], T]): [Tensor[], T] {
  if (!enabled || !makesFunctions) return compute()
  const ids = nativeIds(inputs)
  const whole = `${key} ${inputs.map(nativeType)} ${repeated(ids)}`
  const known = functions.get(whole)
  if (known === null) return compute()
  if (known) {
    functions.delete(whole)
    functions.set(whole, known)
    return [run(known, inputs), known.said as T]
  }
  const { ops, outputs, said } = record(ids, compute)
  let compiled: Compiled | null = null
  try {
    compiled = { ...compile(inputs, ops, outputs), said }
    const results = run(compiled, inputs)
    functions.set(whole, compiled)
    evict()
    return [results, said]
  } catch (error) {
    if (compiled) removeFunction(compiled.name)
    functions.set(whole, null)
    process.stderr.write(
      `TensorFlow makes no function of ${ops.length} ops, which now run one by one, slower: ${error instanceof Error ? error.message : error}\n`,
    )
    return compute()
  }
}

interface RecordedOp {
  name: string
  attributes: readonly OpAttribute[]
  inputs: number[]
  outputs: number[]
}

/** The ops that `compute` runs, with TensorFlow's handles of what they read and made, and those of what it returns. */
function record<T>(
  inputs: readonly number[],
  compute: () => [Tensor[], T],
): { ops: RecordedOp[]; outputs: number[]; said: T } {
  const ops: RecordedOp[] = []
  const known = new Set(inputs)
  let missing = ''
  const see = (name: string, attributes: OpAttribute[], read: number[], outputs: number[]) => {
    const unknown = read.findIndex((id) => !known.has(id) && !constants.has(id))
    if (unknown >= 0) missing ||= `${name} reads a tensor (its input ${unknown})`
    for (const id of outputs) known.add(id)
    ops.push({ name, attributes, inputs: [...read], outputs })
  }
  let outputs: number[] = []
  let said: T | undefined
  tf.tidy(() => {
    const [results, more] = watchOps(see, compute)
    outputs = nativeIds(results)
    said = more
    // Those that it kept; never an input that it hands back.
    tf.dispose(results.filter((_, i) => !inputs.includes(outputs[i]!)))
  })
  if (missing)
    throw new Error(
      `inOneCall: ${missing} that is neither among the inputs nor a constant; name it as an input, or its numbers would stay those of the first call`,
    )
  return { ops, outputs, said: said as T }
}

function compile(
  inputs: readonly Tensor[],
  recorded: readonly RecordedOp[],
  outputs: readonly number[],
): Omit<Compiled, 'said'> {
  const read = new Set([...recorded.flatMap((op) => op.inputs), ...outputs])
  const ids = nativeIds(inputs)
  const taken = ids.flatMap((id, i) => (read.has(id) && ids.indexOf(id) === i ? [i] : []))
  /** Numbers of the function's values. */
  const numbers = new Map(taken.map((i, number) => [ids[i]!, number]))
  const ops: FunctionOp[] = []
  const add = (op: FunctionOp, made: readonly number[]) => {
    ops.push(op)
    for (const id of made) numbers.set(id, numbers.size)
  }
  for (const id of read) {
    const constant = constants.get(id)
    if (constant && !numbers.has(id))
      add({ name: 'Const', attributes: [], inputs: [], listed: 0, outputs: 1, effect: false, constant }, [id])
  }
  for (const { name, attributes, inputs: from, outputs: made } of recorded) {
    add(
      {
        name,
        attributes,
        inputs: from.map((id) => numbers.get(id)!),
        listed: Number(attributes.find((attribute) => attribute.name === 'N')?.value ?? 0),
        outputs: made.length,
        effect: EFFECTS.has(name),
      },
      made,
    )
  }
  const name = `reasoning_rhythm_${session}_${made++}`
  const types = taken.map((i) => nativeType(inputs[i]!))
  compileFunction(
    name,
    types,
    ops,
    outputs.map((id) => numbers.get(id)!),
  )
  return { name, taken, outputs: outputs.length, size: ops.length }
}

// A CPU's ops follow each other in one thread, each with its own; a GPU's are handed to it from several.
const EXECUTOR = deviceReport().device === 'CPU' ? [text('executor_type', 'SINGLE_THREADED_EXECUTOR')] : []

const run = ({ name, taken, outputs }: Compiled, inputs: readonly Tensor[]): Tensor[] =>
  executeAll(
    name,
    taken.map((i) => inputs[i]!),
    outputs,
    ...EXECUTOR,
  )

/** Removes those that were not used for longest, but for the newest. */
function evict(): void {
  let size = [...functions.values()].reduce((sum, compiled) => sum + (compiled?.size ?? 0), 0)
  for (const [key, compiled] of [...functions].slice(0, -1)) {
    if (size <= MOST_OPS) return
    if (!compiled) continue
    functions.delete(key)
    removeFunction(compiled.name)
    size -= compiled.size
  }
}

/** Which of the handles are the same: two tensors that were one when the ops were recorded may be two later. */
function repeated(ids: readonly number[]): string {
  const first = new Map<number, number>()
  let found = ''
  for (const [i, id] of ids.entries()) {
    const before = first.get(id)
    if (before === undefined) first.set(id, i)
    else found += `${i}=${before} `
  }
  return found
}

/** Tensors of `ops.ts` that hold the same numbers as long as they live, by TensorFlow's handle. */
const constants = new Map<number, NonNullable<FunctionOp['constant']>>()

/** Lets recorded ops read a tensor whose numbers never change. */
export function declareConstant(tensor: Tensor, values: readonly number[], kind: 'int32' | 'float32'): void {
  const numbers = kind === 'int32' ? Int32Array.from(values) : Float32Array.from(values)
  constants.set(nativeIds([tensor])[0]!, { type: nativeType(tensor), shape: tensor.shape, values: numbers })
}

/** Before a constant is disposed. */
export const forgetConstant = (tensor: Tensor): void => void constants.delete(nativeIds([tensor])[0]!)

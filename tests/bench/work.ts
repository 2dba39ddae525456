export interface Work {
  name: string
  title: string
  /** Tokens written, for a rate. */
  tokens?: number
  /** Whether peer.py does the same, in float32. Default true. */
  peer?: boolean
}

/** The same work with bfloat16 products ends in this. */
export const NARROW = '-bf16'

const MODEL = 'SmolLM2-135M'
const SMALL = 'decoder of 4.8M parameters'

const MODEL_WORK: Work[] = [
  ...[512, 2048, 8192].map((n) => ({ name: `forward-${n}`, title: `${MODEL}, forward, ${n} tokens` })),
  ...[512, 2048, 8192].map((n) => ({
    name: `statistics-${n}`,
    title: `the same with all layers' head statistics, ${n} tokens`,
    // PyTorch keeps every pattern: 8,192 tokens would need 72 GB.
    peer: n < 8192,
  })),
  ...[1, 8].map((n) => ({
    name: `decode-${n}`,
    title: `${MODEL}, greedy decoding, batch ${n} (64 + 128 tokens)`,
    tokens: n * 128,
  })),
]
const TRAINING: Work = { name: 'train-smollm2', title: `${MODEL}, training step, 4 x 256 tokens` }

const narrow = (work: Work): Work => ({ ...work, name: `${work.name}${NARROW}`, title: `bf16: ${work.title}` })

/** What is measured, in the order in which it is printed. */
export const WORK: Work[] = [
  { name: 'load', title: `load ${MODEL}` },
  ...MODEL_WORK,
  ...MODEL_WORK.filter(({ name }) => !name.endsWith('8192')).map(narrow),
  { name: 'growth-1', title: `${MODEL}, greedy decoding, batch 1 (64 + 1,000 tokens)`, tokens: 1000, peer: false },
  { name: 'train-small', title: `${SMALL}, training step (forward, loss, all gradients, AdamW), 64 x 128 tokens` },
  TRAINING,
  narrow(TRAINING),
  { name: 'sample-small', title: `${SMALL}, sampling, 64 sequences (32 + 64 tokens)`, tokens: 64 * 64 },
  {
    name: 'mixed-small',
    title: `${SMALL}, sampling, 512 sequences that end at random after 1 to 64 tokens`,
    peer: false,
  },
  {
    name: 'grpo-small',
    title: `${SMALL}, GRPO step with rhythm credit, 16 prompts x 8 responses of 64 tokens`,
    peer: false,
  },
  {
    name: 'grpo-smollm2',
    title: `${MODEL}, GRPO step with rhythm credit, 4 prompts x 4 responses of 64 tokens`,
    peer: false,
  },
]

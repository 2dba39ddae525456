/** An accuracy of arXiv 2510.13554 in percent, of one arm of one of its comparisons. */
export interface PaperAccuracy {
  /** Which comparison; sweep files name it as `paper`. */
  ablation: PaperAblation
  /** As our sweep files call it; `uniform` is plain GRPO. */
  arm: string
  benchmark: string
  model: string
  accuracy: number
}

export const PAPER_ABLATIONS = ['strategies', 'top share', 'bottom share', 'sign', 'layers', 'heads', 'models'] as const
export type PaperAblation = (typeof PAPER_ABLATIONS)[number]

const MATH = 'mathematics, mean of five'
const STRATEGIES = ['uniform', 'random', 'entropy', 'local-chunk', 'global-anchor', 'coupled']

function values(
  ablation: PaperAblation,
  benchmark: string,
  model: string,
  arms: readonly string[],
  accuracies: readonly number[],
): PaperAccuracy[] {
  return arms.map((arm, i) => ({ ablation, arm, benchmark, model, accuracy: accuracies[i]! }))
}

/** The paper's accuracies (method.md, section 6). The first benchmark of an ablation is the one that figures show. */
export const PAPER_ACCURACIES: readonly PaperAccuracy[] = [
  ...values('strategies', 'Countdown', 'Qwen3-4B-Base', STRATEGIES, [52.6, 55.0, 57.7, 59.9, 60.4, 63.1]),
  ...values('strategies', 'CrossThink-QA', 'Qwen3-8B-Base', STRATEGIES, [48.0, 47.8, 48.0, 50.0, 49.6, 50.1]),
  ...values('strategies', MATH, 'Qwen3-4B-Base, 1K', STRATEGIES, [37.1, 37.1, 37.2, 38.6, 38.2, 39.2]),
  ...values('strategies', MATH, 'Qwen3-8B-Base, 1K', STRATEGIES, [39.4, 39.6, 40.1, 41.3, 42.1, 43.2]),
  ...values('strategies', MATH, 'Qwen3-4B-Base, 8K', STRATEGIES, [44.8, 44.7, 44.5, 47.2, 47.1, 47.3]),
  ...values('strategies', 'ZebraLogic', 'Qwen3-4B-Base', STRATEGIES, [83.9, 89.3, 90.3, 91.4, 93.2, 93.5]),
  ...values(
    'top share',
    MATH,
    'Qwen3-8B-Base, 1K',
    ['uniform', '0.2', '0.4', '0.6', '0.8', '1.0'],
    [39.4, 40.6, 43.2, 40.2, 40.7, 39.8],
  ),
  ...values(
    'bottom share',
    MATH,
    'Qwen3-8B-Base, 1K',
    [
      'uniform',
      ...['local-chunk, top', 'local-chunk, bottom', 'global-anchor, top', 'global-anchor, bottom'],
      ...['coupled, top', 'coupled, bottom'],
    ],
    [39.4, 41.3, 37.6, 42.1, 33.1, 43.2, 32.5],
  ),
  ...values('sign', MATH, 'Qwen3-8B-Base, 1K', ['uniform', 'both', 'positive', 'negative'], [39.4, 43.2, 42.0, 40.8]),
  ...values(
    'layers',
    MATH,
    'Qwen3-4B-Base, 1K',
    ['uniform', 'middle', 'all', 'bottom', 'top'],
    [37.1, 39.2, 35.1, 36.6, 36.4],
  ),
  ...values('heads', MATH, 'Qwen3-4B-Base, 1K', ['uniform', 'targeted', 'all'], [37.1, 39.2, 36.5]),
  ...(
    [
      ['Qwen3-0.6B', 20.54, 26.32],
      ['Qwen3-1.7B', 36.2, 39.42],
      ['Llama-3.2-3B', 4.8, 5.7],
      ['Llama-3.1-8B', 7.7, 8.7],
      ['R1-Distill-Llama-8B', 47.28, 49.34],
    ] as const
  ).flatMap(([model, uniform, coupled]) => values('models', MATH, model, ['uniform', 'coupled'], [uniform, coupled])),
]

/** The paper's accuracies of one ablation on one benchmark and model, by default the first. Empty for an ablation that it does not have. */
export function paperAccuracies(
  ablation: string | null,
  setting?: { benchmark: string; model: string },
): PaperAccuracy[] {
  const own = PAPER_ACCURACIES.filter((value) => value.ablation === ablation)
  const { benchmark, model } = setting ?? own[0] ?? { benchmark: '', model: '' }
  return own.filter((value) => value.benchmark === benchmark && value.model === model)
}

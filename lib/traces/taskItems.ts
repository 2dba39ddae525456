import type { LanguageModel } from '../model/languageModel'
import { itemAt, type Task } from '../tasks/task'
import type { ResponseRequest } from './generateResponses'
import { requestIds } from './openTraceSet'
import { promptText } from './promptText'
import type { TraceSetRun, TraceSetTask } from './traceSetManifest'

/** Items of a task to respond to, instead of problems in the analysis prompt. */
export interface TaskSource extends Omit<TraceSetTask, 'name'> {
  task: Task<unknown>
  /** The run whose model responds, if it is one's. */
  run?: TraceSetRun
}

/** An item of a task as `problems.jsonl` keeps it; `test-00012` is number 12 of the test split. */
export interface TaskItem {
  id: string
  item: unknown
}

/** The first `limit` items of the source's split, all of them without. Throws where there is none. */
export function taskItems({ task, split, dataSeed }: TaskSource, limit?: number): TaskItem[] {
  const items = task.items(split, dataSeed)
  const count = Math.min(limit ?? items.length, items.length)
  if (count === 0) throw new Error(`${task.name} has no items in the split ${split}`)
  return Array.from({ length: count }, (_, i) => ({
    id: `${split}-${String(i).padStart(5, '0')}`,
    item: itemAt(items, i, `${task.name}, ${split}`),
  }))
}

/** What the model is asked, `samples` times for each item; its responses are judged by the task. */
export function taskRequests(
  model: LanguageModel,
  { task }: TaskSource,
  items: readonly TaskItem[],
  samples: number,
): ResponseRequest[] {
  const byId = new Map(items.map(({ id, item }) => [id, item]))
  return requestIds(
    items.map(({ id }) => id),
    samples,
  ).map(({ id, problem }) => {
    const item = byId.get(problem)
    return {
      id,
      prompt: promptText(model, task.prompt(item)),
      extra: { problem },
      judge: (response) => task.verify(item, response),
    }
  })
}

import type { RayRequests } from './rayRequests'

/** What a node of a cluster has in all, or a job asks for. */
export interface NodeResources {
  cpus: number
  gpus: number
}

/** What the living nodes of the cluster have in all, used or not. Throws RayError. */
export async function rayNodes(requests: RayRequests): Promise<NodeResources[]> {
  const { data } = await requests.json<NodesAnswer>('GET', '/api/v0/nodes?limit=10000')
  const nodes = data?.result?.result ?? []
  return nodes
    .filter(({ state }) => state === 'ALIVE')
    .map(({ resources_total: total }) => ({ cpus: total?.CPU ?? 0, gpus: total?.GPU ?? 0 }))
}

interface NodesAnswer {
  data?: { result?: { result?: { state: string; resources_total?: Record<string, number> }[] } }
}

/** How many jobs the nodes can hold at once if nothing else runs; a job does not spread over nodes. */
export function slotsOn(nodes: readonly NodeResources[], { cpus, gpus }: NodeResources): number {
  const holds = (has: number, wants: number) => (wants > 0 ? Math.floor(has / wants + 1e-9) : Number.POSITIVE_INFINITY)
  return nodes.reduce((sum, node) => sum + Math.min(holds(node.cpus, cpus), holds(node.gpus, gpus)), 0)
}

/** Why a job has not begun, as far as the nodes tell. */
export function whyWaiting(nodes: readonly NodeResources[], wanted: NodeResources): string {
  if (slotsOn(nodes, wanted) > 0) return `waits until a node has ${inWords(wanted)} free`
  const have = [...new Set(nodes.map(inWords))].join('; ') || 'none'
  return `asks for ${inWords(wanted)}, and no node has that (nodes: ${have}): give fewer, or add a node`
}

const inWords = ({ cpus, gpus }: NodeResources) => `${cpus} CPU${gpus > 0 ? ` and ${gpus} GPU` : ''}`

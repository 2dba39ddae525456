import { createHash } from 'node:crypto'
import { rectsOf, rgba } from './heatmapCanvas'

const SVG = 'http://www.w3.org/2000/svg'
const XLINK = 'http://www.w3.org/1999/xlink'

/** What this file needs of a DOM element; jsdom's have it. */
interface Element {
  nodeName: string
  textContent: string | null
  outerHTML: string
  children: ArrayLike<Element>
  attributes: ArrayLike<{ name: string; value: string }>
  ownerDocument: { createElementNS(namespace: string, name: string): Element }
  querySelectorAll(selector: string): ArrayLike<Element>
  getAttribute(name: string): string | null
  setAttribute(name: string, value: string): void
  setAttributeNS(namespace: string, name: string, value: string): void
  removeAttribute(name: string): void
  appendChild(child: Element): void
  replaceWith(...nodes: Element[]): void
  remove(): void
  firstChild: Element | null
  insertBefore(child: Element, before: Element | null): void
}

/**
 * The SVG that Plotly makes, a fraction of its size and with ids of its own: empty groups, classes and default styles go,
 * coordinates keep two decimals, equal markers are drawn once and used, heat maps of few cells become vectors.
 */
export function compactSvg(root: Element): string {
  const every = (selector: string) => Array.from(root.querySelectorAll(selector))
  for (const element of every(
    'script, foreignObject, .hoverlayer, .zoomlayer, .nsewdrag, .drag, .crisp.bg[style*="fill-opacity: 0"]',
  ))
    element.remove()
  for (const image of every('image')) cellsAsVectors(image)
  shareMarkers(root)

  for (const element of [root, ...every('*')]) {
    for (const { name, value } of Array.from(element.attributes)) {
      if (/^(class|data-.*|pointer-events|aria-.*|tabindex|main-svg)$/.test(name)) element.removeAttribute(name)
      else if (name === 'style') setOrRemove(element, 'style', compactStyle(value))
      else if (/^(d|transform|points|x|y|x1|x2|y1|y2|width|height|cx|cy|r|dx)$/.test(name)) {
        element.setAttribute(name, roundNumbers(value))
      }
    }
  }
  // Groups may hold groups that hold nothing: from the inside out.
  for (const group of every('g, defs').reverse()) {
    if (group.children.length === 0 && group.getAttribute('id') === null) group.remove()
  }
  for (const group of every('g').reverse()) {
    if (group.attributes.length === 0) group.replaceWith(...Array.from(group.children))
  }
  return ownIds(root.outerHTML)
}

function setOrRemove(element: Element, name: string, value: string): void {
  if (value) element.setAttribute(name, value)
  else element.removeAttribute(name)
}

function roundNumbers(text: string): string {
  return text.replace(/-?\d*\.\d{3,}(?:e-?\d+)?/g, (number) => String(Number(Number(number).toFixed(2))))
}

/** What SVG's own defaults say anyway. */
const DEFAULTS = new Set([
  'opacity:1',
  'fill-opacity:1',
  'stroke-opacity:1',
  'font-variant:normal',
  'font-style:normal',
  'font-weight:normal',
  'stroke-miterlimit:2',
  'white-space:pre',
  'text-transform:none',
  'text-shadow:none',
  'text-shadow:auto',
  'vector-effect:none',
  'cursor:pointer',
])

function compactStyle(style: string): string {
  const pixelated = /image-rendering/.test(style)
  const kept = style
    .split(';')
    .map((declaration) => declaration.replace(/\s*:\s*/, ':').trim())
    .filter(
      (declaration) =>
        declaration !== '' &&
        !DEFAULTS.has(declaration) &&
        !/^(pointer-events|image-rendering|text-decoration-line|vector-effect|user-select)/.test(declaration),
    )
  if (pixelated) kept.push('image-rendering:pixelated')
  return kept.join(';')
}

function cellsAsVectors(image: Element): void {
  const rects = rectsOf(image.getAttribute('xlink:href') ?? image.getAttribute('href') ?? '')
  if (!rects) return
  const create = (name: string) => image.ownerDocument.createElementNS(SVG, name)
  const group = create('g')
  group.setAttribute('transform', `translate(${image.getAttribute('x') ?? 0},${image.getAttribute('y') ?? 0})`)
  group.setAttribute('shape-rendering', 'crispEdges')
  for (const rect of rects) {
    const [r, g, b, a] = rgba(rect.colour)
    if (a === 0) continue
    const cell = create('rect')
    for (const name of ['x', 'y', 'width', 'height'] as const) cell.setAttribute(name, String(rect[name]))
    cell.setAttribute('fill', `#${[r, g, b].map((part) => Math.round(part).toString(16).padStart(2, '0')).join('')}`)
    if (a < 1) cell.setAttribute('fill-opacity', String(a))
    group.appendChild(cell)
  }
  image.replaceWith(group)
}

/** Draws the marker of each trace once. */
function shareMarkers(root: Element): void {
  Array.from(root.querySelectorAll('g.points')).forEach((group, i) => {
    const points = Array.from(group.querySelectorAll('path.point'))
    const [first] = points
    if (points.length < 3) return
    const same = (name: string) => points.every((point) => point.getAttribute(name) === first.getAttribute(name))
    if (!same('d') || !same('style')) return
    const create = (name: string) => group.ownerDocument.createElementNS(SVG, name)
    const id = `marker${i}`
    const places = points.map((point) =>
      /translate\(([-\d.e]+)[ ,]+([-\d.e]+)\)/.exec(point.getAttribute('transform') ?? ''),
    )
    if (places.some((place) => place === null)) return
    const defs = create('defs')
    const marker = create('path')
    marker.setAttribute('id', id)
    marker.setAttribute('d', first.getAttribute('d') ?? '')
    marker.setAttribute('style', first.getAttribute('style') ?? '')
    defs.appendChild(marker)
    group.insertBefore(defs, group.firstChild)
    points.forEach((point, j) => {
      const use = create('use')
      use.setAttributeNS(XLINK, 'xlink:href', `#${id}`)
      use.setAttribute('x', places[j]![1])
      use.setAttribute('y', places[j]![2])
      point.replaceWith(use)
    })
  })
}

/** Names every id that is referred to after the picture's content, and drops the others: pictures in one page never clash. */
function ownIds(svg: string): string {
  const ids = [...svg.matchAll(/\sid="([^"]*)"/g)].map((match) => match[1])
  const neutral = ids.reduce((text, id, i) => text.split(id).join(`@${i}@`), svg)
  const prefix = `rr${createHash('sha256').update(neutral).digest('hex').slice(0, 8)}`
  const names = new Map(ids.map((id, i) => [id, `${prefix}-${i}`]))
  const used = new Set<string>()
  const referred = svg.replace(
    /(url\((?:&quot;|['"])?#|href="#)([^"')&]+)((?:&quot;|['"])?\)|")/g,
    (all, before, id, after) => {
      const name = names.get(id)
      if (!name) return all
      used.add(id)
      return before.startsWith('url') ? `url(#${name})` : `${before}${name}${after}`
    },
  )
  return referred.replace(/\sid="([^"]*)"/g, (_, id) => (used.has(id) ? ` id="${names.get(id)}"` : ''))
}

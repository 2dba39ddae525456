import { textWidth } from './textWidth'

/** What this file needs of a DOM element; jsdom's have it. */
export interface SvgElement {
  nodeType: number
  nodeName: string
  textContent: string | null
  childNodes: ArrayLike<SvgElement>
  parentNode: SvgElement | null
  getAttribute(name: string): string | null
  style?: { fontSize?: string; textAnchor?: string; display?: string }
}

export interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

/** a, b, c, d, e, f of the SVG matrix. */
type Matrix = [number, number, number, number, number, number]

const IDENTITY: Matrix = [1, 0, 0, 1, 0, 0]
const ASCENT = 0.93
const LINE = 1.16

/** Box of an element in its own coordinates: what `getBBox` returns in a browser. null if nothing is drawn. */
export function localBox(element: SvgElement): Box | null {
  const number = (name: string) => Number.parseFloat(element.getAttribute(name) ?? '') || 0
  switch (element.nodeName.toLowerCase()) {
    case 'text':
      return textBox(element)
    case 'rect':
    case 'image':
      return {
        left: number('x'),
        top: number('y'),
        right: number('x') + number('width'),
        bottom: number('y') + number('height'),
      }
    case 'circle':
      return {
        left: number('cx') - number('r'),
        top: number('cy') - number('r'),
        right: number('cx') + number('r'),
        bottom: number('cy') + number('r'),
      }
    case 'line':
      return {
        left: Math.min(number('x1'), number('x2')),
        top: Math.min(number('y1'), number('y2')),
        right: Math.max(number('x1'), number('x2')),
        bottom: Math.max(number('y1'), number('y2')),
      }
    case 'g':
    case 'svg':
    case 'a': {
      let union: Box | null = null
      for (const child of Array.from(element.childNodes)) {
        if (child.nodeType !== 1 || child.style?.display === 'none') continue
        const box = localBox(child)
        if (box) union = join(union, transform(box, matrixOf(child)))
      }
      return union
    }
    default:
      return null
  }
}

/** Box of an element in the coordinates of the outermost SVG: what `getBoundingClientRect` returns, its origin aside. */
export function boxInRoot(element: SvgElement): Box | null {
  let box = localBox(element)
  for (let at: SvgElement | null = element; box && at && at.nodeType === 1; at = at.parentNode) {
    box = transform(box, matrixOf(at))
  }
  return box
}

/** Length of a text or tspan element in px. */
export function textLength(element: SvgElement): number {
  return textWidth(element.textContent ?? '', fontSize(element))
}

function textBox(text: SvgElement): Box | null {
  if (!text.textContent) return null
  const size = fontSize(text)
  const lines = Array.from(text.childNodes).filter(
    (node) => node.nodeName === 'tspan' && /\bline\b/.test(node.getAttribute('class') ?? ''),
  )
  const width = Math.max(...(lines.length > 0 ? lines : [text]).map(textLength))
  const x = Number.parseFloat(text.getAttribute('x') ?? '') || 0
  const y = Number.parseFloat(text.getAttribute('y') ?? '') || 0
  const anchor = text.getAttribute('text-anchor') || text.style?.textAnchor || 'start'
  const left = x - width * (anchor === 'middle' ? 0.5 : anchor === 'end' ? 1 : 0)
  const top = y - ASCENT * size
  return { left, top, right: left + width, bottom: top + LINE * size + Math.max(0, lines.length - 1) * 1.3 * size }
}

function fontSize(element: SvgElement): number {
  for (let at: SvgElement | null = element; at && at.nodeType === 1; at = at.parentNode) {
    const size = Number.parseFloat(at.style?.fontSize || at.getAttribute('font-size') || '')
    if (size > 0) return size
  }
  return 12
}

function matrixOf(element: SvgElement): Matrix {
  let matrix = IDENTITY
  const list = element.getAttribute('transform') ?? ''
  for (const [, name, list_] of list.matchAll(/(\w+)\s*\(([^)]*)\)/g)) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = list_
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(Number)
    if (name === 'translate') matrix = multiply(matrix, [1, 0, 0, 1, a, b])
    else if (name === 'scale') matrix = multiply(matrix, [a, 0, 0, b || a, 0, 0])
    else if (name === 'matrix') matrix = multiply(matrix, [a, b, c, d, e, f])
    else if (name === 'rotate') {
      const [cos, sin] = [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)]
      matrix = multiply(matrix, [cos, sin, -sin, cos, b - cos * b + sin * c, c - sin * b - cos * c])
    }
  }
  return matrix
}

function multiply(m: Matrix, n: Matrix): Matrix {
  return [
    m[0] * n[0] + m[2] * n[1],
    m[1] * n[0] + m[3] * n[1],
    m[0] * n[2] + m[2] * n[3],
    m[1] * n[2] + m[3] * n[3],
    m[0] * n[4] + m[2] * n[5] + m[4],
    m[1] * n[4] + m[3] * n[5] + m[5],
  ]
}

function transform(box: Box, [a, b, c, d, e, f]: Matrix): Box {
  const corners = [
    [box.left, box.top],
    [box.right, box.top],
    [box.left, box.bottom],
    [box.right, box.bottom],
  ].map(([x, y]) => [a * x + c * y + e, b * x + d * y + f])
  const xs = corners.map((corner) => corner[0])
  const ys = corners.map((corner) => corner[1])
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }
}

function join(a: Box | null, b: Box): Box {
  if (!a) return b
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  }
}

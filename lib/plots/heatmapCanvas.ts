import { encodePng } from './pngImage'

/** A filled rectangle, in px of the canvas. */
export interface FilledRect {
  x: number
  y: number
  width: number
  height: number
  colour: string
}

/** Beyond this many rectangles a picture of pixels is lighter than vectors. */
const MOST_RECTS = 3000
const PREFIX = 'data:application/json,'

/**
 * The part of a 2D canvas that Plotly's heat maps use, for a DOM without one. Single pixels become a PNG; a few rectangles
 * become JSON, for the caller to draw as vectors (`rectsOf`).
 */
export class HeatmapCanvas {
  fillStyle = ''
  private readonly rects: FilledRect[] = []
  private pixels: Uint8Array | Uint8ClampedArray | null = null

  constructor(private readonly size: () => { width: number; height: number }) {}

  createImageData(width: number, height: number) {
    return { width, height, data: new Uint8ClampedArray(width * height * 4) }
  }

  putImageData(image: { data: Uint8Array | Uint8ClampedArray }): void {
    this.pixels = image.data
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    this.rects.push({ x, y, width, height, colour: this.fillStyle })
  }

  /** Plotly asks for it in places; nothing is drawn. */
  measureText(text: string) {
    return { width: 6 * text.length }
  }

  toDataURL(): string {
    const { width, height } = this.size()
    if (!this.pixels && this.rects.length <= MOST_RECTS) return PREFIX + JSON.stringify(this.rects)
    const pixels = this.pixels ?? this.paint(width, height)
    return `data:image/png;base64,${encodePng(pixels, width, height).toString('base64')}`
  }

  private paint(width: number, height: number): Uint8Array {
    const pixels = new Uint8Array(width * height * 4)
    for (const rect of this.rects) {
      const [r, g, b, a] = rgba(rect.colour)
      for (let y = rect.y; y < rect.y + rect.height; y++) {
        for (let x = rect.x; x < rect.x + rect.width; x++)
          pixels.set([r, g, b, Math.round(a * 255)], 4 * (y * width + x))
      }
    }
    return pixels
  }
}

/** The rectangles that `toDataURL` gave, or null for a picture. */
export function rectsOf(url: string): FilledRect[] | null {
  return url.startsWith(PREFIX) ? (JSON.parse(url.slice(PREFIX.length)) as FilledRect[]) : null
}

/** Parts of `rgba(r,g,b,a)`; a from 0 to 1. */
export function rgba(colour: string): [number, number, number, number] {
  const parts = colour.match(/[\d.]+/g)?.map(Number) ?? []
  return [parts[0] ?? 0, parts[1] ?? 0, parts[2] ?? 0, parts[3] ?? 1]
}

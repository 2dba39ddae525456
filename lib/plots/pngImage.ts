import { crc32, deflateSync } from 'node:zlib'

/**
 * PNG file of `pixels` (RGBA, 4 bytes a pixel, row by row). Up to 256 colours, as in a heat map, are stored as a palette,
 * which is far smaller. https://www.w3.org/TR/png-3/
 */
export function encodePng(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number): Buffer {
  if (pixels.length !== width * height * 4 || width < 1 || height < 1) {
    throw new Error(`${width} x ${height} pixels take ${width * height * 4} bytes, got ${pixels.length}`)
  }
  const colours = new Map<number, number>()
  const words = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength)
  const indices = new Uint8Array(width * height)
  for (let i = 0; i < indices.length && colours.size <= 256; i++) {
    const colour = words.getUint32(4 * i)
    let index = colours.get(colour)
    if (index === undefined) {
      index = colours.size
      colours.set(colour, index)
    }
    indices[i] = index
  }
  const palette = colours.size <= 256
  const bytes = palette ? 1 : 4
  const source = palette ? indices : pixels
  // Each row starts with its filter; 0 = none.
  const raw = Buffer.alloc(height * (1 + width * bytes))
  for (let y = 0; y < height; y++) {
    raw.set(source.subarray(y * width * bytes, (y + 1) * width * bytes), y * (1 + width * bytes) + 1)
  }

  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, palette ? 3 : 6, 0, 0, 0], 8)
  const chunks = [chunk('IHDR', header)]
  if (palette) {
    const entries = [...colours.keys()]
    chunks.push(
      chunk(
        'PLTE',
        Buffer.from(entries.flatMap((colour) => [colour >>> 24, (colour >>> 16) & 255, (colour >>> 8) & 255])),
      ),
    )
    chunks.push(chunk('tRNS', Buffer.from(entries.map((colour) => colour & 255))))
  }
  chunks.push(chunk('IDAT', deflateSync(raw, { level: 9 })), chunk('IEND', Buffer.alloc(0)))
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(body, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}

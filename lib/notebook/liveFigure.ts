import type { Figure } from '../plots/figure'
import { staticSvg } from '../plots/staticSvg'
import { figureBundle } from './display'
import type { UpdatableDisplay } from './tslabHost'

/**
 * A figure that is drawn anew in its place while a cell runs. JupyterLab's Plotly ignores updates: while it changes the figure is a
 * picture, and `finish` makes it live.
 */
export class LiveFigure {
  private figure: Figure | null = null
  private svg = ''

  constructor(private readonly display: UpdatableDisplay) {}

  async draw(figure: Figure): Promise<void> {
    this.figure = figure
    this.svg = await staticSvg(figure)
    this.display.bundle({ 'text/html': this.svg, 'text/plain': figureBundle(figure, this.svg)['text/plain']! })
  }

  /** What was drawn last, live, with a picture for where there is no JavaScript. */
  finish(): void {
    if (this.figure) this.display.bundle(figureBundle(this.figure, this.svg))
  }
}

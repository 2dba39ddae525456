import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { type JupyterLab, launchChromium, root, startJupyterLab } from './jupyterLab'

const NOTEBOOK = '01-does-attention-have-a-beat.ipynb'
/** Ignored by git; the notebook's copy lies inside the workspace, so that it finds the library. */
const FOLDER = join('data', 'reports', 'browser')
const MINUTES = 60_000

let lab: JupyterLab
let browser: Browser
let page: Page
let ran = false

before(async () => {
  browser = await launchChromium()
  mkdirSync(join(root, FOLDER), { recursive: true })
  copyFileSync(join(root, 'notebooks', NOTEBOOK), join(root, FOLDER, NOTEBOOK))
  // Settings of its own: the theme that this test chooses is nobody else's.
  const settings = join(root, FOLDER, 'settings')
  rmSync(settings, { recursive: true, force: true })
  lab = await startJupyterLab({
    RHYTHM_PARAMETERS: JSON.stringify({ maxNewTokens: 64 }),
    JUPYTERLAB_SETTINGS_DIR: settings,
    JUPYTERLAB_WORKSPACES_DIR: join(settings, 'workspaces'),
  })
  // High enough for the whole notebook: JupyterLab draws only the cells in view.
  page = await browser.newPage({ viewport: { width: 1280, height: 9000 } })
})

after(async () => {
  if (!ran && page) await screenshot('failed')
  await browser?.close()
  await lab?.stop()
})

const screenshot = (name: string) => page.screenshot({ path: join(root, FOLDER, `${name}.png`) })

test('the notebook runs from top to bottom in JupyterLab', { timeout: 6 * MINUTES }, async () => {
  const cells = JSON.parse(readFileSync(join(root, FOLDER, NOTEBOOK), 'utf8')).cells as { cell_type: string }[]
  const codeCells = cells.filter((cell) => cell.cell_type === 'code').length
  await page.goto(`${lab.url}/lab/tree/${FOLDER}/${NOTEBOOK}?token=${lab.token}&reset`)
  await page.locator('.jp-NotebookPanel .jp-CodeCell').first().waitFor({ timeout: MINUTES })
  await page.locator('.jp-Toolbar .jp-KernelName', { hasText: 'reasoning-rhythm' }).waitFor({ timeout: MINUTES })
  await page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').waitFor({ timeout: MINUTES })
  await runMenu('Run', 'runmenu:run-all')
  // A cell that runs shows [*], one that ran its number.
  const done = async () => {
    const prompts = await page.locator('.jp-CodeCell .jp-InputPrompt').allTextContents()
    return prompts.filter((prompt) => /\[\d+\]/.test(prompt)).length
  }
  for (let seconds = 0; (await done()) < codeCells; seconds++) {
    assert.deepEqual(await errors(), [])
    assert.ok(seconds < 240, `${await done()} of ${codeCells} cells ran in 4 minutes; see failed.png`)
    await page.waitForTimeout(1000)
  }
  assert.deepEqual(await errors(), [])
  ran = true
})

test('the figures are there, live', { timeout: MINUTES }, async () => {
  assert.ok(ran, 'the notebook did not run to its end')
  await page.locator('.js-plotly-plot .main-svg').first().waitFor()
  await page.waitForTimeout(1000)
  assert.equal(await page.locator('.js-plotly-plot').count(), 3)
  await expectSizes()
  assert.equal(await page.locator('.js-plotly-plot .hm image').count(), 4, 'heat maps: spans, two maps, their scale')
  assert.ok((await page.locator('.js-plotly-plot .points path').count()) > 20, 'marked heads and peaks')
  assert.equal(await page.locator('span[title*="WAAD"]').first().count(), 1, 'the coloured text')
  await screenshot('light')
})

test('hovering shows tokens', { timeout: MINUTES }, async () => {
  assert.ok(ran, 'the notebook did not run to its end')
  const traces = page.locator('.js-plotly-plot').nth(2)
  const shown = await hover(traces.locator('.nsewdrag').first(), 0.5, 0.5)
  assert.match(shown, /\d+ \S+/)
  for (const series of ['receiver FAI', 'global FAI', 'WAAD', 'entropy']) assert.ok(shown.includes(series), shown)
  await screenshot('light-hover')
  const maps = page.locator('.js-plotly-plot').nth(1)
  assert.match(await hover(maps.locator('.nsewdrag').first(), 0.2, 0.8), /\d+ \S+ attends to \d+ \S+/)
})

test('figures and tables are legible in the dark theme', { timeout: MINUTES }, async () => {
  assert.ok(ran, 'the notebook did not run to its end')
  await page.locator('.lm-MenuBar-itemLabel', { hasText: /^Settings$/ }).click()
  await page.locator('.lm-Menu-itemLabel', { hasText: /^Theme$/ }).hover()
  await page.locator('.lm-Menu-itemLabel', { hasText: /^JupyterLab Dark$/ }).click()
  await page.waitForFunction("document.body.dataset.jpThemeLight === 'false'")
  await page.waitForTimeout(2000)
  await expectSizes()
  const colour = await page
    .locator('.js-plotly-plot .main-svg')
    .first()
    .evaluate((svg) => (svg as HTMLElementLike).style.background)
  assert.match(colour, /rgba\(0, 0, 0, 0\)|transparent/, 'no white ground')
  await screenshot('dark')
})

interface HTMLElementLike {
  style: { background: string }
}

async function runMenu(menu: string, command: string): Promise<void> {
  await page.locator('.lm-MenuBar-itemLabel', { hasText: new RegExp(`^${menu}$`) }).click()
  await page.locator(`.lm-Menu-item[data-command="${command}"]`).click()
}

/** What cells wrote to standard error, and their tracebacks. */
function errors(): Promise<string[]> {
  const kinds = ['stderr', 'error'].map(
    (kind) => `.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.${kind}"]`,
  )
  return page.locator(kinds.join(', ')).allTextContents()
}

/** Each figure fills its cell: none has collapsed. */
async function expectSizes(): Promise<void> {
  for (const figure of await page.locator('.js-plotly-plot').all()) {
    const box = (await figure.boundingBox())!
    assert.ok(box.height > 300 && box.width > 600, `a figure of ${box.width} x ${box.height} px`)
  }
}

/** Moves the mouse over a place in `area`, given as shares of its size, and returns what the hover label says. */
async function hover(area: ReturnType<Page['locator']>, x: number, y: number): Promise<string> {
  const box = (await area.boundingBox())!
  await page.mouse.move(box.x + x * box.width - 3, box.y + y * box.height)
  await page.mouse.move(box.x + x * box.width, box.y + y * box.height)
  const label = page.locator('.hoverlayer').filter({ hasText: /\d/ })
  await label.first().waitFor({ timeout: 5000 })
  await page.waitForTimeout(300)
  return (await label.allTextContents()).join(' ')
}

import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { tinyConfig } from '../training/tinyRun'
import { type JupyterLab, launchChromium, root, startJupyterLab } from './jupyterLab'

const NOTEBOOK = '05-does-it-learn-from-its-own-attempts.ipynb'
/** Ignored by git, inside the workspace, so that the notebook finds the library. */
const FOLDER = join('data', 'reports', 'browser-training')
const MINUTES = 60_000
/** In cells; Plotly keeps others out of sight. */
const FIGURES = '.jp-OutputArea-output.js-plotly-plot'
/** What the figure of a run that has ended asks. */
const RESULT = 'Does it learn from its rewards?'
const at = (...names: string[]) => join(root, FOLDER, ...names)

let lab: JupyterLab
let browser: Browser
let page: Page

before(async () => {
  browser = await launchChromium()
  rmSync(at(), { recursive: true, force: true })
  mkdirSync(at(), { recursive: true })
  copyFileSync(join(root, 'notebooks', NOTEBOOK), at(NOTEBOOK))
  // Long enough for several drawings on a fast machine, where 400 steps were over after two.
  const config = tinyConfig({
    supervised: { steps: 20 },
    grpo: { steps: 1600, evaluateEvery: 400, optimizer: { learningRate: 1e-4 } },
  })
  writeFileSync(at('config.json'), JSON.stringify({ ...config, rollouts: { every: 5, groups: 3 } }))
  const recordedCheck = join(root, 'data', 'results', 'gpu-check', 'h200.json')
  const own = { config: 'config.json', run: 'run', trials: 'trials', ownSteps: 3, changes: ['seed=4'] }
  const parameters = { ...own, recordedCheck }
  lab = await startJupyterLab({
    RHYTHM_PARAMETERS: JSON.stringify(parameters),
    JUPYTERLAB_SETTINGS_DIR: at('settings'),
    JUPYTERLAB_WORKSPACES_DIR: at('settings', 'workspaces'),
  })
  page = await browser.newPage({ viewport: { width: 1280, height: 9000 } })
})

after(async () => {
  if (page) await screenshot('last')
  await browser?.close()
  await lab?.stop()
})

const screenshot = (name: string) => page.screenshot({ path: at(`${name}.png`) })
const shown = (selector: string) => page.locator(`.jp-OutputArea-output ${selector}`)

test('the figures of a run change in their place while it trains, and are live when it has ended', {
  timeout: 8 * MINUTES,
}, async () => {
  await page.goto(`${lab.url}/lab/tree/${FOLDER}/${NOTEBOOK}?token=${lab.token}&reset`)
  await page.locator('.jp-NotebookPanel .jp-CodeCell').first().waitFor({ timeout: MINUTES })
  await page.locator('.jp-Toolbar .jp-KernelName', { hasText: 'reasoning-rhythm' }).waitFor({ timeout: MINUTES })
  await page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').waitFor({ timeout: MINUTES })
  await page.locator('.lm-MenuBar-itemLabel', { hasText: /^Run$/ }).click()
  await page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()

  const curves = shown('svg').filter({ hasText: 'steps of GRPO in' })
  await curves.first().waitFor({ timeout: 3 * MINUTES })
  const seen = new Set<string>()
  for (let tries = 0; seen.size < 3 && tries < 200; tries++) {
    assert.ok((await curves.count()) <= 1, 'one place')
    // The run's own: the report of a GPU is a figure too, and there before.
    if ((await page.locator(FIGURES).filter({ hasText: RESULT }).count()) > 0) break
    const text = await curves
      .first()
      .textContent({ timeout: 1000 })
      .catch(() => null)
    const steps = /(\d+) steps of GRPO in/.exec(text ?? '')?.[1]
    if (steps) seen.add(steps)
    if (seen.size === 2) await screenshot('training')
    await page.waitForTimeout(100)
  }
  assert.ok(seen.size >= 3, `drawn at steps ${[...seen].join(', ')}`)
  assert.equal(await shown('div[role="progressbar"]').count(), 2, 'a bar for each phase')

  // The last figure that is always there: the trial's.
  await page
    .locator(FIGURES)
    .filter({ hasText: 'Does credit of my own train?' })
    .waitFor({ timeout: 4 * MINUTES })
  await page.waitForTimeout(2000)
  const errors = await page
    .locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
    .allTextContents()
  assert.deepEqual(errors, [])
  assert.equal(await page.locator(FIGURES).filter({ hasText: RESULT }).count(), 1)
  for (const figure of await page.locator(FIGURES).all()) {
    const box = (await figure.boundingBox())!
    assert.ok(box.height > 300 && box.width > 600, `a figure of ${box.width} x ${box.height} px`)
  }
  await screenshot('light')
})

test('legible in the dark theme', { timeout: MINUTES }, async () => {
  await page.locator('.lm-MenuBar-itemLabel', { hasText: /^Settings$/ }).click()
  await page.locator('.lm-Menu-itemLabel', { hasText: /^Theme$/ }).hover()
  await page.locator('.lm-Menu-itemLabel', { hasText: /^JupyterLab Dark$/ }).click()
  await page.waitForFunction("document.body.dataset.jpThemeLight === 'false'")
  await page.waitForTimeout(2000)
  await screenshot('dark')
})

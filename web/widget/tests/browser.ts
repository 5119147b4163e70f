/** What every browser test has, whichever server it asks: eyes on whatever goes wrong, and ways around the widget. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test as base, type Frame, type FrameLocator, type Page } from '@playwright/test'
import type axe from 'axe-core'
import type { HostSite } from './server/host'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

interface Watch {
  /** Errors that a test expects, such as those of a server that it has stopped. */
  expected: RegExp[]
  problems: string[]
}

export const test = base.extend<Watch>({
  expected: async ({}, use) => use([]),
  problems: [
    async ({ context, expected }, use) => {
      const problems: string[] = []
      context.on('console', (message) => {
        if (['error', 'warning'].includes(message.type()))
          problems.push(`${message.text()} (${message.location().url})`)
      })
      context.on('weberror', (error) => problems.push(String(error.error())))
      await use(problems)
      const unexpected = problems.filter((problem) => !expected.some((pattern) => pattern.test(problem)))
      expect(unexpected, 'nothing is reported on the console, policy violations included').toEqual([])
    },
    { auto: true },
  ],
})

export { expect }

/** The widget page inside the website. */
export function widget(page: Page): FrameLocator {
  return page.frameLocator('#chatwoot_live_chat_widget')
}

/** Opens the website, and in it the widget. */
export async function openWidget(page: Page, site: HostSite): Promise<FrameLocator> {
  await page.goto(site.url)
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(page).locator('h1').first()).toBeVisible()
  return widget(page)
}

/** Keeps the cookie of a visitor who was here before. */
export async function returnAs(page: Page, site: HostSite, token: string): Promise<void> {
  await page.context().addCookies([{ name: 'cw_conversation', value: token, url: site.url }])
}

/** Keeps a picture of what is seen now. */
export async function photograph(page: Page, name: string): Promise<void> {
  await Promise.all(page.frames().map((frame) => frame.evaluate(standStill).catch(() => {})))
  await page.screenshot({ path: `test-results/screens/${name}.png` })
}

/** Holds a state to WCAG 2.2 AA, and keeps a picture of it. */
export async function examine(page: Page, name: string): Promise<void> {
  await photograph(page, name)
  for (const frame of page.frames()) {
    const isShown = frame === page.mainFrame() || (await (await frame.frameElement()).isVisible())
    if (isShown) expect(await violations(frame), `axe on ${name}: ${frame.url()}`).toEqual([])
  }
}

/** What axe finds in one frame, each by itself: its own way into frames passes over those that it cannot enter in time. */
async function violations(frame: Frame): Promise<string[]> {
  if (!(await frame.evaluate(() => 'axe' in window))) await frame.evaluate(AXE)
  return frame.evaluate(async (values) => {
    const { run } = (window as unknown as { axe: typeof axe }).axe
    const { violations } = await run({ runOnly: { type: 'tag', values }, resultTypes: ['violations'], iframes: false })
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`)
  }, RULES)
}

/** Waits for what moves and ends, so that no picture or contrast is of its middle. A hidden frame never paints. */
async function standStill(): Promise<void> {
  const painted = new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  await Promise.race([painted, new Promise((done) => setTimeout(done, 100))])
  const moving = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity)
  await Promise.allSettled(moving.map(({ finished }) => finished))
}

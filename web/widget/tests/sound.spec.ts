/** The sound of a new message: heard where nobody looks at the chat, unless the visitor has turned it off. */
import { expect, openWidget, returnAs, test } from './fixture'
import { BOB, from } from './server/data'

test('a message sounds while the chat is closed, until the visitor wants silence', async ({ page, site, server }) => {
  await page.addInitScript(() => {
    const tones = { count: 0 }
    Object.assign(window, { tones })
    const start = OscillatorNode.prototype.start
    OscillatorNode.prototype.start = function (...when) {
      tones.count += 1
      start.apply(this, when)
    }
  })
  const tones = () => page.evaluate(() => (window as unknown as { tones: { count: number } }).tones.count)
  const { visitor, conversation } = server.returning([{ content: 'Good morning' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  const close = page.locator('.woot-widget-bubble.woot--close')
  await frame.getByText('Good morning').click()
  await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
  server.say(conversation, { ...from(BOB), content: 'You are looking at this' })
  await expect(frame.getByText('You are looking at this')).toBeVisible()
  expect(await tones()).toBe(0)

  await close.click()
  server.say(conversation, { ...from(BOB), content: 'And this?' })
  await expect.poll(tones).toBe(2)
  await page.getByRole('button', { name: /1 unread message/ }).click()
  await frame.getByRole('button', { name: 'More options' }).click()
  await frame.getByText('Turn sound off').click()
  await close.click()
  server.say(conversation, { ...from(BOB), content: 'Quietly' })
  await expect(page.getByRole('button', { name: /1 unread message/ })).toBeVisible()
  expect(await tones()).toBe(2)
})

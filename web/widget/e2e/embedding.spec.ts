/** The manual's snippet on websites of every kind: as it is, late, twice, under a policy, and where it is not wanted. */
import { examine, expect, openWidget, photograph, say, test, widget } from './fixture'
import { hashSource } from './snippet'

test('the snippet that the inbox gives is the manual’s, and works on a page of another origin', async ({
  page,
  daemon,
  cable,
  newInbox,
  newSite,
}) => {
  const inbox = await newInbox({ widget_color: '#0b5cad', reply_time: 'in_a_few_hours' })
  const site = await newSite(inbox)
  const words = (text: string) => text.replace(/\s+/g, '')
  expect(words(inbox.web_widget_script)).toBe(words(site.snippet))
  expect(new URL(site.url).host).not.toBe(new URL(daemon.url).host)
  const frame = await openWidget(page, site)
  await expect(frame.locator('h1')).toHaveText('Hello, how can we help?')
  await expect(frame.getByText('Orders, returns, or just a question')).toBeVisible()
  await expect(frame.getByText('We are online')).toBeVisible()
  await expect(frame.getByText('Typically replies in a few hours')).toBeVisible()
  const bubble = page.locator('.woot-widget-bubble').first()
  expect(await bubble.evaluate((node) => getComputedStyle(node).backgroundColor)).toBe('rgb(11, 92, 173)')
  await examine(page, 'daemon/snippet-home')
  expect(cable).toBeTruthy()
})

test('a tag manager inserts it late; two of them make one widget', async ({ page, newInbox, newSite }) => {
  const site = await newSite(await newInbox())
  site.snippets = 0
  await page.goto(site.url)
  for (let time = 0; time < 2; time++) {
    await page.evaluate((html) => {
      document.body.append(document.createRange().createContextualFragment(html))
    }, site.snippet)
  }
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(page).getByRole('button', { name: 'Start a conversation' })).toBeVisible()
  await expect(page.locator('iframe')).toHaveCount(1)
  await expect(page.locator('.woot-widget-bubble:visible')).toHaveCount(1)
  await photograph(page, 'daemon/tag-manager')
})

test('two snippets on a page make one widget, and one visitor', async ({ page, newInbox, newSite, bob }) => {
  const inbox = await newInbox()
  const site = await newSite(inbox)
  site.snippets = 2
  const frame = await openWidget(page, site)
  await expect(page.locator('iframe')).toHaveCount(1)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Once')
  await expect(frame.getByText('Sent')).toBeVisible()
  expect(await bob.written((await bob.conversation(inbox)).id)).toEqual(['Once'])
})

test('a page whose policy allows the daemon’s scripts and frames and nothing else', async ({
  page,
  daemon,
  newInbox,
  newSite,
  bob,
}) => {
  const inbox = await newInbox()
  const site = await newSite(inbox)
  site.policy = `default-src 'none'; script-src 'nonce-host' ${hashSource(site.snippet)} ${daemon.url}; frame-src ${daemon.url}; style-src 'nonce-host'`
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Hello from a careful site')
  await expect(frame.getByText('Sent')).toBeVisible()
  await expect(page.locator('#cw-widget-holder')).toHaveCSS('position', 'fixed')
  await photograph(page, 'daemon/strict-policy')
  expect(await bob.written((await bob.conversation(inbox)).id)).toEqual(['Hello from a careful site'])
})

test('only the domains that the inbox names may show it; the website’s address is none of them', async ({
  page,
  expected,
  problems,
  newInbox,
  newSite,
  team,
}) => {
  expected.push(/frame-ancestors/)
  const inbox = await newInbox({ website_url: 'http://localhost', allowed_domains: 'https://shop.example' })
  const site = await newSite(inbox)
  await page.goto(site.url)
  await expect.poll(() => problems.some((problem) => problem.includes('frame-ancestors'))).toBe(true)
  await expect(page.locator('.woot-widget-bubble:visible')).toHaveCount(0)
  await photograph(page, 'daemon/domain-refused')
  problems.length = expected.length = 0
  const { host } = new URL(site.url)
  await team.admin.patch(`/inboxes/${inbox.id}`, { channel: { allowed_domains: `https://shop.example, ${host}` } })
  const frame = await openWidget(page, site)
  await expect(frame.getByRole('button', { name: 'Start a conversation' })).toBeVisible()
  await photograph(page, 'daemon/domain-allowed')
})

test('another colour and other words show at the next load, and disturb nobody who is there', async ({
  page,
  context,
  newInbox,
  newSite,
  team,
  bob,
  cable,
}) => {
  const inbox = await newInbox({ widget_color: '#0b5cad' })
  const site = await newSite(inbox)
  let closed = 0
  page.on('websocket', (socket) => socket.on('close', () => closed++))
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Is the shop open?')
  await expect(frame.getByText('Sent')).toBeVisible()
  const token = async () => (await context.cookies(site.url)).find(({ name }) => name === 'cw_conversation')?.value
  const before = await token()
  await team.admin.patch(`/inboxes/${inbox.id}`, {
    channel: { widget_color: '#7a1f5c', welcome_title: 'Welcome back', welcome_tagline: 'What is it today?' },
  })
  const { conversation_id } = await cable.next<{ conversation_id: number; inbox_id: number }>(
    'message.created',
    ({ inbox_id }) => inbox_id === inbox.id,
  )
  await bob.say(conversation_id, 'Until six.')
  await expect(frame.getByText('Until six.')).toBeVisible()
  expect(closed, 'no socket was closed').toBe(0)

  await page.reload()
  const bubble = page.locator('.woot-widget-bubble').first()
  await expect(bubble).toHaveCSS('background-color', 'rgb(122, 31, 92)')
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(frame.locator('h1')).toHaveText('Welcome back')
  await expect(frame.getByText('What is it today?')).toBeVisible()
  await expect(frame.getByText('Until six.')).toBeVisible()
  expect(await token()).toBe(before)
  await examine(page, 'daemon/colour-changed')
})

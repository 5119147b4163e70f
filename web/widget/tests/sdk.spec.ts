/** The loader, as a website uses it: its names, methods, events, cookies and shapes. */
import { expect, examine, openWidget, returnAs, test, widget } from './fixture'
import { BOB, from, hmac } from './server/data'
import { md5 } from '../sdk/md5'

interface SitePage {
  $chatwoot: Record<string, (...values: unknown[]) => void> & { isOpen: boolean; hasLoaded: boolean }
  $konversio: unknown
  chatwootSDK: unknown
  konversioSDK: unknown
  heard: [string, unknown][]
}

test('two snippets make one widget; both names are one object; everything on it is there', async ({
  page,
  site,
  server,
}) => {
  site.snippets = 2
  await page.goto(site.url)
  await expect(page.locator('.woot-widget-bubble').first()).toBeVisible()
  const found = await page.evaluate(() => {
    const win = window as unknown as SitePage
    return {
      isSame: win.$chatwoot === win.$konversio && win.chatwootSDK === win.konversioSDK,
      frames: document.querySelectorAll('iframe').length,
      methods: Object.entries(win.$chatwoot)
        .filter(([, value]) => typeof value === 'function')
        .map(([name]) => name)
        .sort(),
      properties: Object.entries(win.$chatwoot)
        .filter(([, value]) => typeof value !== 'function')
        .map(([name]) => name),
      holder: Boolean(
        document.querySelector('#cw-widget-holder.woot-widget-holder > iframe#chatwoot_live_chat_widget'),
      ),
      bubble: Boolean(
        document.querySelector(
          '#cw-bubble-holder.woot--bubble-holder > button.woot-widget-bubble + button.woot-widget-bubble.woot--close',
        ),
      ),
      heard: win.heard.map(([name]) => name),
    }
  })
  expect(found.isSame && found.holder && found.bubble).toBe(true)
  expect(found.frames).toBe(1)
  expect(found.heard).toEqual(['ready'])
  expect(found.methods).toEqual(
    [
      'deleteConversationCustomAttribute',
      'deleteCustomAttribute',
      'popoutChatWindow',
      'removeLabel',
      'reset',
      'setColorScheme',
      'setConversationCustomAttributes',
      'setCustomAttributes',
      'setLabel',
      'setLocale',
      'setUser',
      'toggle',
      'toggleBubbleVisibility',
    ].sort(),
  )
  expect(found.properties).toEqual(
    expect.arrayContaining([
      'hideMessageBubble',
      'position',
      'locale',
      'type',
      'launcherTitle',
      'showPopoutButton',
      'widgetStyle',
      'darkMode',
      'baseDomain',
      'hasLoaded',
      'isOpen',
      'websiteToken',
      'baseUrl',
      'user',
      'identifier',
      'resetTriggered',
    ]),
  )
  const cookies = await page.context().cookies(site.url)
  const [cookie] = cookies.filter(({ name }) => name === 'cw_conversation')
  expect(cookie).toMatchObject({ value: server.visitor.token, sameSite: 'Lax' })
  expect(cookie!.expires - Date.now() / 1000).toBeGreaterThan(364 * 86_400)
})

test('opening, closing, by call, by button, by Escape; focus goes in and comes back', async ({ page, site }) => {
  const frame = await openWidget(page, site)
  await expect(page.locator('.woot--close')).toBeVisible()
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(frame.getByRole('textbox')).toBeFocused()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('button', { name: 'Chat with us' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(frame.getByRole('textbox')).toBeVisible()
  await page.evaluate(() => (window as unknown as SitePage).$chatwoot['toggle']!('close'))
  await expect(page.locator('#chatwoot_live_chat_widget')).toBeHidden()
  const names = await page.evaluate(() => (window as unknown as SitePage).heard.map(([name]) => name))
  expect(names).toEqual(['ready', 'opened', 'on-start-conversation', 'closed', 'opened', 'closed'])
  await page.evaluate(() => (window as unknown as SitePage).$chatwoot['toggleBubbleVisibility']!('hide'))
  await expect(page.locator('.woot-widget-bubble:visible')).toHaveCount(0)
})

test('left, expanded, flat, and in the language of the page', async ({ page, site }) => {
  site.settings = {
    position: 'left',
    type: 'expanded_bubble',
    launcherTitle: 'Ask the paper people',
    widgetStyle: 'flat',
    locale: 'de',
  }
  await page.goto(site.url)
  const bubble = page.getByRole('button', { name: 'Ask the paper people' })
  await expect(bubble).toBeVisible()
  expect((await bubble.boundingBox())!.x).toBe(20)
  await examine(page, 'bubble-expanded-left')
  await bubble.click()
  await expect(widget(page).getByRole('button', { name: 'Gespräch beginnen' })).toBeVisible()
  await examine(page, 'home-german-left-flat')
})

test('a user with a valid HMAC goes on across devices; a wrong one changes nothing; the same one is not told twice', async ({
  page,
  site,
  server,
  expected,
}) => {
  expected.push(/401/)
  const { visitor: ada } = server.returning([{ content: 'I wrote this at home' }], {
    identifier: 'ada',
    name: 'Ada',
    email: 'ada@example.com',
  })
  await page.goto(site.url)
  await expect.poll(() => server.data.visitors.length).toBe(2)
  const stranger = server.visitor
  await expect.poll(() => server.cable.listeners(stranger)).toBe(1)
  const setUser = (hash: string) =>
    page.evaluate(
      (identifier_hash) =>
        (window as unknown as SitePage).$chatwoot['setUser']!('ada', {
          name: 'Ada',
          email: 'ada@example.com',
          identifier_hash,
        }),
      hash,
    )
  const heard = () => page.evaluate(() => (window as unknown as SitePage).heard)
  const cookie = async (name: string) => (await page.context().cookies(site.url)).find((c) => c.name === name)?.value

  await setUser('0000')
  await expect
    .poll(heard)
    .toContainEqual(['error', expect.objectContaining({ errorType: 'SET_USER_ERROR', status: 401 })])
  expect(await cookie('cw_conversation')).toBe(stranger.token)
  expect(stranger.contact['email']).toBeUndefined()
  await expect.poll(() => cookie('cw_user_website-token')).toBeUndefined()

  await setUser(hmac('ada'))
  await expect.poll(() => cookie('cw_conversation')).toBe(ada.token)
  const hash = md5(
    JSON.stringify([
      'ada',
      [
        ['email', 'ada@example.com'],
        ['identifier_hash', hmac('ada')],
        ['name', 'Ada'],
      ],
    ]),
  )
  expect(await cookie('cw_user_website-token')).toBe(hash)
  await expect.poll(() => server.cable.listeners(ada)).toBe(1)
  const calls = () => server.api.calls.filter(({ path }) => path === 'contact/set_user').length
  expect(calls()).toBe(2)
  await setUser(hmac('ada'))
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(page).getByText('I wrote this at home')).toBeVisible()
  expect(calls()).toBe(2)

  await page.evaluate(() => (window as unknown as SitePage).$chatwoot['reset']!())
  await expect.poll(() => server.data.visitors.length).toBe(3)
  await expect.poll(() => cookie('cw_conversation')).toBe(server.visitor.token)
  expect(await cookie('cw_user_website-token')).toBeUndefined()
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(page).getByRole('button', { name: 'Start a conversation' })).toBeVisible()
  await expect(widget(page).getByText('I wrote this at home')).toHaveCount(0)
})

test('attributes and labels wait for the first message, and are set at once where there is a conversation', async ({
  page,
  site,
  server,
}) => {
  const call = (name: string, value: unknown) =>
    page.evaluate(([n, v]) => (window as unknown as SitePage).$chatwoot[n as string]!(v), [name, value])
  const frame = await openWidget(page, site)
  await call('setConversationCustomAttributes', { page: 'checkout', plan: 'pro' })
  await call('deleteConversationCustomAttribute', 'plan')
  await call('setLabel', 'vip')
  await call('setCustomAttributes', { customer: 17 })
  await expect.poll(() => server.visitor.contact['custom_attributes']).toEqual({ customer: 17 })
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await frame.getByRole('textbox').fill('Hello')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Sent')).toBeVisible()
  expect(server.visitor.conversations[0]).toMatchObject({ custom_attributes: { page: 'checkout' }, labels: ['vip'] })
  await call('setLabel', 'late')
  await call('setConversationCustomAttributes', { step: 2 })
  await call('removeLabel', 'vip')
  await expect
    .poll(() => server.visitor.conversations[0])
    .toMatchObject({ custom_attributes: { page: 'checkout', step: 2 }, labels: ['late'] })
  for (const [name, value] of [
    ['setUser', 'x'],
    ['setCustomAttributes', {}],
    ['deleteCustomAttribute', ''],
  ] as const) {
    await expect(call(name, value)).rejects.toThrow()
  }
  expect(server.data.events[0]).toMatchObject({ name: 'webwidget.triggered', event_info: { referer: `${site.url}/` } })
})

test('on a phone it fills the screen and has its own way out', async ({ page, site, server }) => {
  const { visitor } = server.returning([
    { content: 'Hello' },
    { ...from(BOB), content: 'Hello, what can I do for you?' },
  ])
  await returnAs(page, site, visitor.token)
  await page.setViewportSize({ width: 390, height: 780 })
  const frame = await openWidget(page, site)
  const box = () => page.locator('#cw-widget-holder').boundingBox()
  await expect.poll(box).toMatchObject({ x: 0, y: 0, width: 390, height: 780 })
  await examine(page, 'phone-home')
  await frame.getByText('what can I do for you').click()
  await examine(page, 'phone-chat')
  await frame.getByRole('button', { name: 'Close chat' }).click()
  await expect(page.locator('#cw-widget-holder')).toBeHidden()
})

test('in a window of its own it goes on as the same visitor', async ({ page, site, server, context }) => {
  site.settings = { showPopoutButton: true }
  const { visitor } = server.returning([{ content: 'Hello from the frame' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello from the frame').click()
  await frame.getByRole('button', { name: 'More options' }).click()
  const [popup] = await Promise.all([
    context.waitForEvent('page'),
    frame.getByRole('button', { name: 'Open in a new window' }).click(),
  ])
  await expect(popup.getByText('Hello from the frame')).toBeVisible()
  await expect(page.locator('#cw-widget-holder')).toBeHidden()
  expect(server.data.visitors).toHaveLength(1)
})

test('a campaign greets a visitor who stays, once, and becomes a conversation when taken up', async ({
  page,
  site,
  server,
}) => {
  server.data.campaigns = [
    {
      id: 3,
      message: 'Can we help you choose?',
      trigger_rules: { url: `${site.url}/*`, time_on_page: 0 },
      sender: BOB,
    },
    { id: 4, message: 'Elsewhere', trigger_rules: { url: 'https://elsewhere.example/', time_on_page: 0 } },
  ]
  await page.goto(site.url)
  await expect(widget(page).getByText('Can we help you choose?')).toBeVisible()
  await examine(page, 'campaign')
  await widget(page).getByText('Can we help you choose?').click()
  await expect(widget(page).getByRole('log').getByText('Can we help you choose?')).toBeVisible()
  expect(server.data.events.filter(({ name }) => name === 'campaign.triggered')).toMatchObject([
    { event_info: { campaign_id: 3 } },
  ])
  expect((await page.context().cookies(site.url)).map(({ name }) => name)).toContain('cw_snooze_campaigns_till')
})

test('a page that changes its address without loading is followed', async ({ page, site, server }) => {
  const frame = await openWidget(page, site)
  await page.evaluate(() => {
    history.pushState({}, '', '/checkout')
    document.body.append(document.createElement('p'))
  })
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect
    .poll(async () => {
      await frame.getByRole('textbox').fill('Where do I pay?')
      await frame.getByRole('textbox').press('Enter')
      return server.api.calls.filter(({ method, path }) => method === 'POST' && path.startsWith('conversations')).at(-1)
        ?.body['message']?.referer_url
    })
    .toBe(`${site.url}/checkout`)
})

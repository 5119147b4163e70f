/** Markup in whatever anybody may write: it is shown as text, runs nowhere, and asks nobody for anything. */
import { expect, examine, openWidget, returnAs, test } from './fixture'
import { from, now } from './server/data'

const SCRIPT = `<img src=x onerror="window.top.postMessage('pwned','*')"><script>parent.pwned=1</script><svg onload=alert(1)><b>bold</b>`
const NAME = `"><script>pwned()</script>${'\u202e'}gnp.exe`

test('scripts in names, messages, titles, choices, files, greetings and referrers stay text', async ({
  page,
  site,
  server,
}) => {
  const hostile = { id: 9, name: NAME, available_name: NAME, avatar_url: 'javascript:alert(1)', type: 'user' }
  Object.assign(server.data.channel, {
    websiteName: SCRIPT,
    welcomeTitle: SCRIPT,
    welcomeTagline: SCRIPT,
    outOfOfficeMessage: SCRIPT,
    avatarUrl: '/files/logo.svg',
    widgetColor: 'red;}</style><script>',
  })
  server.data.agents = [{ id: 9, name: NAME, avatar_url: '', availability_status: 'online' }]
  const { visitor } = server.returning([
    { content: SCRIPT, created_at: now() - 100 },
    {
      ...from(hostile),
      content: `${SCRIPT} [x](javascript:alert(1)) [y](data:text/html,<script>1</script>) **${SCRIPT}**`,
    },
    {
      ...from(hostile),
      content: SCRIPT,
      content_type: 'input_select',
      content_attributes: { items: [{ title: SCRIPT, value: SCRIPT }] },
    },
    {
      ...from(hostile),
      content: '',
      content_type: 'cards',
      content_attributes: {
        items: [
          {
            title: SCRIPT,
            description: SCRIPT,
            media_url: 'javascript:alert(1)',
            actions: [{ type: 'link', text: SCRIPT, uri: 'javascript:alert(1)' }],
          },
        ],
      },
    },
    {
      ...from(hostile),
      content: SCRIPT,
      content_type: 'article',
      content_attributes: { items: [{ title: SCRIPT, description: SCRIPT, link: 'javascript:alert(1)' }] },
    },
    {
      ...from(hostile),
      content: SCRIPT,
      content_type: 'form',
      content_attributes: { items: [{ type: 'text', name: SCRIPT, label: SCRIPT, placeholder: SCRIPT }] },
    },
    {
      ...from(hostile),
      content: 'file',
      attachments: [
        { id: 5, file_type: 'file', data_url: 'javascript:alert(1)', fallback_title: SCRIPT },
        { id: 6, file_type: 'file', data_url: `/files/x.pdf`, fallback_title: NAME, file_size: 10 },
      ],
    },
  ])
  await returnAs(page, site, visitor.token)
  await page.addInitScript(() => {
    const win = window as unknown as { pwned?: () => void; alert: () => void; attacked: string[] }
    win.attacked = []
    win.pwned = () => win.attacked.push('pwned')
    win.alert = () => win.attacked.push('alert')
    addEventListener('message', ({ data }) => data === 'pwned' && win.attacked.push('message'))
  })
  await page.goto(`${site.url}/?q=${encodeURIComponent(SCRIPT)}`)
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  const frame = page.frameLocator('#chatwoot_live_chat_widget')
  await expect(frame.locator('h1')).toHaveText(SCRIPT)
  await examine(page, 'hostile-home')
  await frame.locator('button.card, .card').first().click()
  const log = frame.getByRole('log')
  await expect(log.getByText('<b>bold</b>').first()).toBeVisible()
  await expect(frame.getByText('Submit')).toBeVisible()
  await examine(page, 'hostile-chat')
  expect(await log.locator('script, svg[onload], img[onerror], b, iframe, object, [onclick]').count()).toBe(0)
  const links = await log.locator('a').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).protocol))
  expect(links.every((protocol) => ['http:', 'https:', 'mailto:', 'tel:'].includes(protocol))).toBe(true)
  await frame.getByRole('textbox').last().fill(SCRIPT)
  await frame.getByRole('textbox').last().press('Enter')
  for (const target of page.frames()) {
    expect(await target.evaluate(() => (window as unknown as { attacked: string[] }).attacked)).toEqual([])
  }
})

test('the page obeys its host and nobody else, and the loader its frame and nobody else', async ({
  page,
  site,
  server,
}) => {
  await openWidget(page, site)
  const before = await page.context().cookies(site.url)
  await page.evaluate(() => {
    window.postMessage('chatwoot-widget:{"event":"setAuthCookie","data":{"widgetAuthToken":"stolen"}}', '*')
    window.postMessage('chatwoot-widget:{"event":"__proto__"}', '*')
    window.postMessage('chatwoot-widget:not json', '*')
  })
  await page.evaluate(() => new Promise((done) => setTimeout(done, 50)))
  expect((await page.context().cookies(site.url)).map(({ value }) => value)).toEqual(before.map(({ value }) => value))
  expect(server.data.visitors).toHaveLength(1)
})

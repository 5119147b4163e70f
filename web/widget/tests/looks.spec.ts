/** Other languages and directions, narrow screens, colours, and the survey as a page of its own. */
import { examine, expect, openWidget, returnAs, test } from './fixture'
import { ALICE, BOB, from, now } from './server/data'

const LANGUAGES = { es: 'Iniciar', pt: 'Iniciar', de: 'Gespräch', fr: 'Démarrer', ar: 'ابدأ', hi: 'बातचीत' }

for (const [locale, start] of Object.entries(LANGUAGES)) {
  test(`in ${locale}`, async ({ page, site, server }) => {
    site.settings = {
      locale,
      darkMode: locale === 'ar' ? 'dark' : 'light',
      position: locale === 'ar' ? 'left' : 'right',
    }
    Object.assign(server.data.channel, { welcomeTitle: '', welcomeTagline: '' })
    const { visitor } = server.returning([
      { content: locale === 'ar' ? 'مرحبًا، أين طلبي رقم 1234؟' : 'Hello', created_at: now() - 90 },
      {
        ...from(ALICE),
        content: locale === 'ar' ? 'أهلًا! **لحظة من فضلك**، سأتحقق من [الطلب](https://shop.example).' : 'Hello!',
        created_at: now() - 80,
      },
    ])
    await returnAs(page, site, visitor.token)
    const frame = await openWidget(page, site)
    await expect(frame.getByRole('button', { name: start }).first()).toBeVisible()
    await expect(frame.locator('html')).toHaveAttribute('lang', locale)
    await expect(frame.locator('html')).toHaveAttribute('dir', locale === 'ar' ? 'rtl' : 'ltr')
    await examine(page, `home-${locale}`)
    await frame.locator('.card').first().click()
    await expect(frame.getByRole('textbox')).toBeVisible()
    await examine(page, `chat-${locale}`)
  })
}

for (const colour of ['#1f93ff', '#ffd400', '#111111', '#fafafa']) {
  test(`in the colour ${colour}`, async ({ page, site, server }) => {
    server.data.channel['widgetColor'] = colour
    site.settings = { darkMode: colour === '#111111' ? 'dark' : 'light', type: 'expanded_bubble' }
    const { visitor } = server.returning([
      { content: 'Which colour is that? https://a.example' },
      { ...from(BOB), content: 'Ours.' },
    ])
    await returnAs(page, site, visitor.token)
    const frame = await openWidget(page, site)
    await examine(page, `colour-home-${colour.slice(1)}`)
    await frame.locator('.card').first().click()
    await expect(frame.getByRole('textbox')).toBeVisible()
    await examine(page, `colour-chat-${colour.slice(1)}`)
  })
}

test('at 320 pixels, enlarged to 200 percent, nothing is lost', async ({ page, site, server }) => {
  const { visitor } = server.returning([
    { ...from(BOB), content: 'AVeryLongWordThatDoesNotFitOnOneLineOfASmallScreenAtAll' },
  ])
  await returnAs(page, site, visitor.token)
  await page.setViewportSize({ width: 320, height: 256 * 2 })
  const frame = await openWidget(page, site)
  await frame.locator('.card').first().click()
  await expect(frame.getByRole('textbox')).toBeVisible()
  expect(await frame.locator('html').evaluate((html) => html.scrollWidth)).toBeLessThanOrEqual(320)
  await examine(page, 'narrow-chat')
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the survey page, ${colorScheme}`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme })
    const survey = {
      id: 5,
      csat_survey_response: null as unknown,
      display_type: colorScheme === 'dark' ? 'star' : 'emoji',
      content: 'Please rate our answer to your question about **returns**.',
      inbox_avatar_url: '/files/logo.svg',
      inbox_name: 'Paperclip & Co',
      locale: 'en',
    }
    server.data.surveys.set('abc', survey)
    await page.goto(`${server.url}/survey/responses/abc`)
    await expect(page.getByText('How would you rate')).toBeVisible()
    await examine(page, `survey-${colorScheme}`)
    await page.getByRole('radio', { name: 'Good', exact: true }).check({ force: true })
    await expect(page.getByText('Thank you for your rating.')).toBeVisible()
    expect(survey.csat_survey_response).toEqual({ rating: 4, feedback_message: '' })
    await page.getByLabel('Would you like to tell us more?').fill('Fast!')
    await examine(page, `survey-rated-${colorScheme}`)
    await page.getByRole('button', { name: 'Send feedback' }).click()
    await expect.poll(() => survey.csat_survey_response).toEqual({ rating: 4, feedback_message: 'Fast!' })
    await expect(page.getByRole('radio').first()).toBeDisabled()
  })
}

test('a survey that is closed, and one that never was', async ({ page, server, expected }) => {
  expected.push(/422|404/)
  server.data.surveys.set('old', {
    id: 6,
    csat_survey_response: null,
    inbox_name: 'Paperclip & Co',
    content: '',
    isClosed: true,
  })
  await page.goto(`${server.url}/survey/responses/old`)
  await page.getByRole('radio', { name: 'Bad', exact: true }).click({ force: true })
  await expect(page.getByRole('alert')).toHaveText('This survey is closed.')
  await expect(page.getByRole('radio', { checked: true })).toHaveCount(0)
  server.data.surveys.delete('old')
  await page.getByRole('radio', { name: 'Bad', exact: true }).click({ force: true })
  await expect(page.getByRole('alert')).toHaveText('There is no such survey.')
  server.data.surveys.set('over', { isOver: true })
  await page.goto(`${server.url}/survey/responses/over`)
  await expect(page.getByRole('heading')).toHaveText('This survey is closed.')
  await page.goto(`${server.url}/survey/responses/none`)
  await expect(page.getByText('There is no such survey.')).toBeVisible()
})

/** What the inbox does by itself: business hours with a message for those who come outside of them, and the survey. */
import type { Contact } from './agent'
import { examine, expect, openWidget, photograph, say, test } from './fixture'

const day = (day_of_week: number, isOpen: boolean) => ({
  ...{ day_of_week, closed_all_day: !isOpen, open_all_day: isOpen },
  ...{ open_hour: 9, open_minutes: 0, close_hour: 17, close_minutes: 0 },
})

test('outside of business hours nobody is there and the away message answers; within them it does not', async ({
  page,
  newInbox,
  newSite,
  team,
  bob,
  cable,
}) => {
  const inbox = await newInbox()
  const path = `/inboxes/${inbox.id}`
  // Open only on the day after tomorrow, whichever day that is in the inbox's zone.
  const opens = (new Date().getUTCDay() + 2) % 7
  await team.admin.patch(path, {
    working_hours_enabled: true,
    timezone: 'UTC',
    out_of_office_message: 'We are at a fair. We answer on our return.',
    working_hours: Array.from({ length: 7 }, (_, at) => day(at, at === opens)),
  })
  const site = await newSite(inbox)
  const frame = await openWidget(page, site)
  await expect(frame.getByText('We are away right now')).toBeVisible()
  await expect(frame.getByText('We are at a fair.')).toBeVisible()
  await expect(frame.getByText(/^Back \w+ /)).toBeVisible()
  await examine(page, 'daemon/hours-closed')
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Is anybody there?')
  await expect(frame.getByRole('log').getByText('We are at a fair.')).toBeVisible()
  await examine(page, 'daemon/hours-away-message')
  const { id } = await bob.conversation(inbox)
  const away = (await bob.messages(id)).filter(({ message_type }) => message_type === 3)
  expect(away.map(({ content }) => content)).toEqual(['We are at a fair. We answer on our return.'])

  await team.admin.patch(path, { working_hours: Array.from({ length: 7 }, (_, at) => day(at, true)) })
  await page.reload()
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(frame.getByText('We are online')).toBeVisible()
  await expect(frame.getByText(/^Back \w+ /)).toHaveCount(0)
  await photograph(page, 'daemon/hours-open')
  expect(cable).toBeTruthy()
})

test('resolving asks for a rating in the widget; it is one and the same on the survey page', async ({
  page,
  daemon,
  newInbox,
  newSite,
  bob,
}) => {
  const inbox = await newInbox({}, { csat_survey_enabled: true })
  const frame = await openWidget(page, await newSite(inbox))
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Thank you, all is well')
  await expect(frame.getByText('Sent')).toBeVisible()
  const { id, uuid } = await bob.conversation(inbox)
  await bob.resolve(id)
  await expect(frame.getByRole('group', { name: 'How would you rate this conversation?' })).toBeVisible()
  await examine(page, 'daemon/survey-widget')
  const rated = async () => {
    const survey = (await bob.messages(id)).find(({ content_type }) => content_type === 'input_csat')
    return survey?.content_attributes['submitted_values']
  }
  await frame.getByRole('radio', { name: 'Good', exact: true }).check({ force: true })
  await expect(frame.getByText('Thank you for your rating.')).toBeVisible()
  await expect.poll(rated).toMatchObject({ csat_survey_response: { rating: 4 } })

  const survey = await page.context().newPage()
  await survey.goto(`${daemon.url}/survey/responses/${uuid}`)
  await expect(survey.getByRole('radio', { name: 'Good', exact: true })).toBeChecked()
  await survey.getByLabel('Would you like to tell us more?').fill('Quick and friendly.')
  await survey.getByRole('button', { name: 'Send feedback' }).click()
  await expect(survey.getByRole('radio').first()).toBeDisabled()
  await expect
    .poll(rated)
    .toMatchObject({ csat_survey_response: { rating: 4, feedback_message: 'Quick and friendly.' } })
  await photograph(survey, 'daemon/survey-page-after-widget')
})

test('the survey page rates a conversation of another channel', async ({ page, daemon, expected, team }) => {
  expected.push(/404/)
  const { admin } = team
  const inbox = await admin.post<{ id: number }>('/inboxes', { name: 'Our app', channel: { type: 'api' } })
  await admin.patch(`/inboxes/${inbox.id}`, { csat_survey_enabled: true })
  const made = await admin.post<{ payload: { contact: Contact; contact_inbox: { source_id: string } } }>('/contacts', {
    inbox_id: inbox.id,
    name: 'Grace',
  })
  const { source_id } = made.payload.contact_inbox
  const { id } = await admin.post<{ id: number }>('/conversations', { inbox_id: inbox.id, source_id })
  await admin.post(`/conversations/${id}/messages`, { content: 'It works again', message_type: 'incoming' })
  await admin.resolve(id)
  const survey = () => admin.messages(id).then((all) => all.find((message) => message.content_type === 'input_csat'))
  await expect.poll(survey).toBeTruthy()
  const { uuid } = await admin.get<{ uuid: string }>(`/conversations/${id}`)
  await page.goto(`${daemon.url}/survey/responses/${uuid}`)
  await expect(page.getByRole('heading', { name: 'Our app' })).toBeVisible()
  await examine(page, 'daemon/survey-page')
  await page.getByRole('radio', { name: 'Very good' }).check({ force: true })
  await expect(page.getByText('Thank you for your rating.')).toBeVisible()
  await expect
    .poll(async () => (await survey())!.content_attributes['submitted_values'])
    .toMatchObject({ csat_survey_response: { rating: 5 } })
  await page.goto(`${daemon.url}/survey/responses/00000000-0000-4000-8000-000000000000`)
  await expect(page.getByText('There is no such survey.')).toBeVisible()
})

/** Offline and back: what was typed meanwhile is sent once it is back, exactly once, whatever was lost. */
import { examine, expect, openWidget, photograph, say, test } from './fixture'

const REFUSED = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket connection|Failed to load resource/
const UNSENT = /Waiting to be sent|Sending/

test('the network goes while a conversation begins, and comes back', async ({
  page,
  expected,
  network,
  newInbox,
  newSite,
  bob,
}) => {
  expected.push(REFUSED)
  const inbox = await newInbox()
  const frame = await openWidget(page, await newSite(inbox, network.url))
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(frame.getByRole('textbox', { name: 'Message' })).toBeFocused()
  network.setDown(true)
  for (const text of ['one', 'two', 'three']) {
    await say(frame, text)
  }
  await expect(frame.getByText('No connection.')).toBeVisible()
  await expect(frame.getByText('Waiting to be sent')).toHaveCount(3)
  await examine(page, 'daemon/offline')
  network.setDown(false)
  await expect(frame.getByText(UNSENT)).toHaveCount(0)
  await expect(frame.getByText('No connection.')).toBeHidden()
  const { id } = await bob.conversation(inbox)
  expect(await bob.written(id)).toEqual(['one', 'two', 'three'])
  await expect(frame.getByRole('log').getByText('two')).toHaveCount(1)
  await bob.say(id, 'All three are here.')
  await expect(frame.getByText('All three are here.')).toBeVisible()
  await photograph(page, 'daemon/offline-and-back')
})

test('answers to what was carried out are lost: nothing is sent twice', async ({
  page,
  expected,
  network,
  newInbox,
  newSite,
  bob,
}) => {
  expected.push(REFUSED)
  const inbox = await newInbox()
  const frame = await openWidget(page, await newSite(inbox, network.url))
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  for (const [at, [text, path]] of [
    ['The first of a conversation', 'conversations?'],
    ['The second', 'messages?'],
  ].entries()) {
    network.loseAnswerTo(`POST /api/v1/widget/${path}`)
    await say(frame, text!)
    await expect.poll(() => network.lost).toBe(at + 1)
    await expect(frame.getByText(UNSENT)).toHaveCount(0)
    await expect(frame.getByRole('log').getByText(text!)).toHaveCount(1)
  }
  const { id } = await bob.conversation(inbox)
  expect(await bob.written(id)).toEqual(['The first of a conversation', 'The second'])
})

test('the daemon is killed and started again: the visitor is still known, what waits is sent, what was said is there', async ({
  page,
  expected,
  daemon,
  newInbox,
  newSite,
  bob,
}) => {
  expected.push(REFUSED)
  const inbox = await newInbox()
  const frame = await openWidget(page, await newSite(inbox))
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'before')
  await expect(frame.getByText('Sent')).toBeVisible()
  await daemon.kill()
  await say(frame, 'meanwhile')
  await expect(frame.getByText('Waiting to be sent')).toBeVisible()
  await daemon.start()
  const { id } = await bob.conversation(inbox)
  await bob.say(id, 'said before you were back')
  await expect(frame.getByText('said before you were back')).toBeVisible()
  await expect(frame.getByText(UNSENT)).toHaveCount(0)
  expect(await bob.written(id)).toEqual(['before', 'meanwhile'])
})

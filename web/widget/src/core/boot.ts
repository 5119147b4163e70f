/** The data that the server puts into the page before it is sent: which page this is, and what to show. */
import type { WebChannel } from './types'

/** The page is either the widget of an inbox or the survey of one conversation. */
export interface Boot {
  channel?: WebChannel
  authToken?: string
  pubsubToken?: string
  survey?: { uuid: string; locale?: string; color?: string }
  globalConfig?: Record<string, unknown>
}

/** Reads the data, and sets the names on `window` by which Chatwoot's own page has it. */
export function readBoot(): Boot {
  const boot = JSON.parse(document.getElementById('boot')?.textContent ?? '{}') as Boot
  Object.assign(window, {
    chatwootWebChannel: boot.channel,
    chatwootPubsubToken: boot.pubsubToken,
    authToken: boot.authToken,
    globalConfig: boot.globalConfig ?? {},
  })
  return boot
}

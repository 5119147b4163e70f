/**
 * The script that a website loads (`/packs/js/sdk.js`). It defines `window.chatwootSDK`, and with `run` puts the bubble and
 * the widget's frame on the page as `window.$chatwoot`. A second script, or a second `run`, changes nothing.
 */
import { readSettings, type Settings } from './settings'
import { createWidget } from './widget'

type Widget = ReturnType<typeof createWidget>

declare global {
  interface Window {
    chatwootSDK?: { run(options: { websiteToken: string; baseUrl?: string }): void }
    konversioSDK?: Window['chatwootSDK']
    chatwootSettings?: Partial<Settings>
    $chatwoot?: Widget
    $konversio?: Widget
  }
}

let hasRun = false

function run({ websiteToken, baseUrl }: { websiteToken: string; baseUrl?: string }): void {
  if (hasRun || window.$chatwoot) return
  hasRun = true
  const base = new URL(baseUrl || location.origin, location.href).href.replace(/\/+$/, '')
  whenReady(() => {
    window.$chatwoot = createWidget({ baseUrl: base, websiteToken }, readSettings(window.chatwootSettings ?? {}))
    window.$konversio = window.$chatwoot
  })
}

/** A tag manager may run this before the page has a body. */
function whenReady(start: () => void): void {
  if (document.body) start()
  else addEventListener('DOMContentLoaded', start, { once: true })
}

window.chatwootSDK ??= { run }
window.konversioSDK ??= window.chatwootSDK

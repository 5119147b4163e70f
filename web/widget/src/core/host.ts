/** The page around the widget: the loader's frame, the web view of a phone's app, or, in a window of its own, nobody. */
import { decode, encode, type Envelope } from '../../shared/protocol'

declare global {
  interface Window {
    ReactNativeWebView?: { postMessage(text: string): void }
  }
}

/** Whether the widget stands in the loader's frame. */
export const isFramed = window.parent !== window

/** Whether anybody hears what is posted. */
export const hasHost = isFramed || Boolean(window.ReactNativeWebView)

/** Tells the host. Who it is cannot be known here: the server says who may frame the page (`frame-ancestors`). */
export function post(event: string, fields: object = {}): void {
  const text = encode(event, fields)
  if (isFramed) window.parent.postMessage(text, '*')
  window.ReactNativeWebView?.postMessage(text)
}

/** Hears what the host says, and nobody else. */
export function listen(onMessage: (message: Envelope) => void): void {
  addEventListener('message', (event) => {
    // What a phone's app says may come from nowhere.
    if (event.source !== window.parent && (event.source || !window.ReactNativeWebView)) return
    const message = decode(event.data)
    if (message) onMessage(message)
  })
}

/**
 * How bubble and frame look on the host page. A constructed style sheet: it needs nothing of the page's `style-src`, and ids
 * before classes keep the page's own rules out. The frame appears without moving: Chromium drops clicks into a frame of another
 * site that has just moved.
 */
import { iconOn, safe, textOn } from '../shared/colour'

const EDGE = '20px'
const SIZE = '60px'

const RULES = `
#cw-widget-holder {
  all: initial; position: fixed; z-index: 2147483000; bottom: calc(${EDGE} + ${SIZE} + 16px); width: 400px; height: min(704px, calc(100% - 116px));
  max-width: calc(100% - 40px); border-radius: 18px; overflow: hidden; box-shadow: 0 8px 40px rgb(16 21 28 / .2), 0 0 1px rgb(16 21 28 / .35);
  transition: opacity .15s, visibility .15s;
}
#cw-widget-holder.woot-elements--right { right: ${EDGE} }
#cw-widget-holder.woot-elements--left { left: ${EDGE} }
#cw-widget-holder.woot-widget--flat { border-radius: 0; box-shadow: 0 0 0 1px rgb(16 21 28 / .2) }
#cw-widget-holder.woot-widget--without-bubble { bottom: ${EDGE}; height: min(704px, calc(100% - 40px)) }
#cw-widget-holder.woot--hide { visibility: hidden; opacity: 0 }
#cw-widget-holder.has-unread-view { height: auto; width: 360px; border-radius: 0; box-shadow: none; overflow: visible }
#cw-widget-holder iframe { all: initial; visibility: inherit; display: block; width: 100%; height: 100%; border: 0; color-scheme: light }

#cw-bubble-holder .woot-widget-bubble {
  all: initial; position: fixed; z-index: 2147483000; bottom: ${EDGE}; box-sizing: border-box; width: ${SIZE}; height: ${SIZE}; border-radius: 30px; cursor: pointer;
  display: flex; align-items: center; justify-content: center; box-shadow: 0 4px 20px rgb(16 21 28 / .22), 0 0 1px rgb(16 21 28 / .4);
  font: 600 16px/24px system-ui, sans-serif; transition: transform .15s;
}
#cw-bubble-holder .woot-widget-bubble:hover { transform: scale(1.05) }
#cw-bubble-holder .woot-widget-bubble:active { transform: scale(.97) }
#cw-bubble-holder .woot-widget-bubble:focus-visible { outline: 3px solid #fff; outline-offset: -5px; box-shadow: 0 0 0 3px #10151c }
#cw-bubble-holder .woot-elements--right { right: ${EDGE} }
#cw-bubble-holder .woot-elements--left { left: ${EDGE} }
#cw-bubble-holder .woot-widget--flat { border-radius: 0 }
#cw-bubble-holder .woot--hide, #cw-bubble-holder.woot--hide .woot-widget-bubble { display: none }
#cw-bubble-holder svg { width: 28px; height: 28px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; pointer-events: none }
#cw-bubble-holder .woot-widget--expanded { width: auto; max-width: calc(100% - 40px); height: 52px; padding: 0 22px 0 18px; gap: 10px }
#cw-bubble-holder .woot-widget--expanded svg { width: 24px; height: 24px; flex: none }
#cw-bubble-holder .woot-widget--expanded span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font: inherit; color: inherit }
#cw-bubble-holder .unread-notification::after {
  content: ''; position: absolute; top: 1px; inset-inline-end: 1px; width: 12px; height: 12px; border-radius: 50%; background: #d92d20; border: 2px solid #fff
}
@media (max-width: 667px) {
  #cw-widget-holder:not(.has-unread-view) { inset: 0; width: 100%; max-width: none; height: 100%; border-radius: 0; box-shadow: none }
  #cw-bubble-holder .woot--close { display: none }
}
@media (prefers-reduced-motion: reduce) { #cw-widget-holder, #cw-bubble-holder .woot-widget-bubble { transition: none } }
@media print { #cw-widget-holder, #cw-bubble-holder { display: none } }
`

/** Adds the rules to the page, once. */
export function addStyles(): void {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(RULES)
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
}

/** Gives a bubble the colour of the inbox, and what stands on it a colour that can be seen. */
export function paint(bubble: HTMLElement, colour: string, hasText: boolean): void {
  bubble.style.setProperty('background', safe(colour), 'important')
  bubble.style.setProperty('color', hasText ? textOn(colour) : iconOn(colour), 'important')
}

/** What the visitor learns while the widget is closed: the dot, the label, the messages above the bubble, and the sound. */
import { hasHost, post } from '../core/host'
import type { Campaign, Message } from '../core/types'
import { chat } from './chat.svelte'
import { settings } from './settings.svelte'
import { t } from './texts.svelte'
import { view } from './view.svelte'

const SOUND_KEY = 'konversio-sound'
const MOST_SHOWN = 3

class Notices {
  hasSound = $state.raw(readSound())
  /** The newest unread messages, to stand above the bubble. */
  messages = $state.raw<Message[]>([])
  campaign = $state.raw<Campaign | null>(null)
  #isDismissed = $state.raw(false)

  setSound(hasSound: boolean): void {
    this.hasSound = hasSound
    try {
      localStorage.setItem(SOUND_KEY, hasSound ? 'on' : 'off')
    } catch {
      return
    }
  }

  /** A message of the team has come unseen. */
  add(message: Message): void {
    this.messages = [...this.messages, message].slice(-MOST_SHOWN)
    this.#isDismissed = false
  }

  /** What was unread when the page was loaded. */
  set(messages: Message[]): void {
    this.messages = messages.slice(-MOST_SHOWN)
  }

  dismiss(): void {
    this.#isDismissed = true
    if (this.campaign) {
      post('setCampaignReadOn')
      // As the loader keeps it, for the pages to which the visitor goes without loading.
      settings.host = { ...settings.host, campaignsSnoozedTill: String(Date.now() + 3_600_000) }
    }
    this.campaign = null
  }

  ring(): void {
    if (!this.hasSound) return
    if (hasHost) post('playAudio')
    else void import('../../shared/sound').then(({ playSound }) => playSound())
  }

  /** Keeps the host told; runs for as long as the page lives. */
  start(): void {
    $effect.root(() => {
      $effect(() => {
        const unreadLabel = chat.unread > 0 ? t('unread', { count: chat.unread }) : ''
        post('setBubbleLabel', { label: t('launcher'), closeLabel: t('closeChat'), unreadLabel })
        post('handleNotificationDot', { unreadMessageCount: chat.unread })
        if (chat.unread === 0) this.messages = []
      })
      $effect(() => {
        const hasNews = this.campaign !== null || (chat.unread > 0 && this.messages.length > 0)
        const isWanted = settings.host.showUnreadMessagesDialog === true && !settings.host.hideMessageBubble
        view.isTeaser = hasHost && !view.isOpen && isWanted && hasNews && !this.#isDismissed
        post(view.isTeaser ? 'setUnreadMode' : 'resetUnreadMode')
        if (!view.isTeaser) post('updateIframeHeight', { isFixedHeight: false, extraHeight: 0 })
      })
    })
  }
}

export const notices = new Notices()

function readSound(): boolean {
  try {
    return localStorage.getItem(SOUND_KEY) !== 'off'
  } catch {
    return true
  }
}

/** What the widget shows and allows: the inbox's settings, and over them those of the host page. */
import { readable, textOn } from '../../shared/colour'
import type { WebChannel } from '../core/types'

/** What the loader says in `config-set`. */
export interface HostSettings {
  position?: string
  hideMessageBubble?: boolean
  showPopoutButton?: boolean
  showUnreadMessagesDialog?: boolean
  widgetStyle?: string
  darkMode?: string
  campaignsSnoozedTill?: string
  welcomeTitle?: string
  welcomeDescription?: string
  availableMessage?: string
  unavailableMessage?: string
  enableFileUpload?: boolean
  enableEmojiPicker?: boolean
  enableEndConversation?: boolean
}

const NO_CHANNEL: WebChannel = {
  websiteName: '',
  websiteToken: '',
  widgetColor: '#1f5dd6',
  enabledFeatures: [],
  preChatFormEnabled: false,
  workingHoursEnabled: false,
  allowMessagesAfterResolved: true,
}

class Settings {
  channel = $state.raw<WebChannel>(NO_CHANNEL)
  host = $state.raw<HostSettings>({})
  isMobile = $state.raw(false)
  #prefersDark = $state.raw(false)

  constructor() {
    const query = matchMedia('(prefers-color-scheme: dark)')
    this.#prefersDark = query.matches
    query.addEventListener('change', () => (this.#prefersDark = query.matches))
  }

  isDark = $derived.by(() => this.host.darkMode === 'dark' || (this.host.darkMode === 'auto' && this.#prefersDark))
  brand = $derived(readable(this.channel.widgetColor))
  onBrand = $derived(textOn(this.brand))
  title = $derived(this.host.welcomeTitle || this.channel.welcomeTitle || '')
  tagline = $derived(this.host.welcomeDescription || this.channel.welcomeTagline || '')
  hasAttachments = $derived(this.host.enableFileUpload ?? this.#has('attachments'))
  hasEmoji = $derived(this.host.enableEmojiPicker ?? this.#has('emoji_picker'))
  hasEnding = $derived(this.host.enableEndConversation ?? this.#has('end_conversation'))
  isBotWithInboxAvatar = $derived(this.#has('use_inbox_avatar_for_bot'))

  #has(feature: string): boolean {
    return this.channel.enabledFeatures.includes(feature)
  }
}

export const settings = new Settings()
